package compare

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// watchMemory looks at the memory of the server's processes until its result is called,
// which returns the most of it. A page that processes share is counted once.
func (c *course) watchMemory() func() int64 {
	end := make(chan struct{})
	var most int64
	var watch sync.WaitGroup
	watch.Go(func() { // ends with end; awaited below
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			most = max(most, c.size())
			select {
			case <-tick.C:
			case <-end:
				tick.Stop()
				return
			}
		}
	})
	return func() int64 {
		close(end)
		watch.Wait()
		return most
	}
}

// size returns the memory of all processes of the server. One that ends meanwhile has none.
func (c *course) size() (sum int64) {
	for _, group := range c.way.groups(int(c.version.Load())) {
		pids, _ := c.ReadProc(1, "root/sys/fs/cgroup/system.slice/"+group+"/cgroup.procs")
		for pid := range strings.FieldsSeq(string(pids)) { // as this process knows them, which reads the file
			sum += proportional(pid)
		}
	}
	return sum
}

// proportional returns the memory of a process, see Pss in proc_pid_smaps(5).
func proportional(pid string) int64 {
	text, _ := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var kilobytes int64
		if _, err := fmt.Sscanf(lines.Text(), "Pss: %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	return 0
}
