package proof

import (
	"fmt"
	"strings"

	"github.com/cutover-go/cutover/units"
)

// A story is one test of a daemon.
type story struct {
	name    string
	streams func(stream) bool // of the load, nil for none
	tell    func(*scene) error
}

// The names of the stories, for Daemon.Stories.
const (
	StoryUnits     = "units"
	StoryReload    = "reload under load"
	StoryBroken    = "broken program"
	StorySlow      = "slow start"
	StoryHang      = "hang in the start"
	StoryKill      = "kill of the main process"
	StoryOldDies   = "death of the old process in the drain"
	StoryNewDies   = "death of the new process in the drain"
	StoryRestart   = "restart"
	StoryCrashLoop = "crash loop of a new program"
	StoryGrowth    = "upgrades without growth"
)

// stories are told in this order. The last ones leave most behind.
func stories() []story {
	return []story{
		{StoryUnits, nil, (*scene).checkUnits},
		{StoryReload, all, (*scene).reloadUnderLoad},
		{StoryBroken, all, (*scene).brokenProgram},
		{StorySlow, all, (*scene).slowStart},
		{StoryHang, all, (*scene).hangInTheStart},
		{StoryKill, all, (*scene).killOfMain},
		{StoryOldDies, all, (*scene).deathOfTheOld},
		{StoryNewDies, all, (*scene).deathOfTheNew},
		{StoryRestart, all, (*scene).restartUnderLoad},
		{StoryCrashLoop, all, (*scene).crashLoop},
		{StoryGrowth, brief, (*scene).upgradesWithoutGrowth},
	}
}

// Names returns the names of the stories in their order.
func Names() (names []string) {
	for _, s := range stories() {
		names = append(names, s.name)
	}
	return names
}

// checkUnits does what `sdunits check` does, for this version of systemd.
func (s *scene) checkUnits() error {
	findings, _ := units.Check(s.units.files, units.Options{All: true, Systemd: s.stage.Version(), Root: s.dir})
	var wrong []string
	for _, f := range findings {
		if f.Severity == units.Error {
			wrong = append(wrong, f.Report())
		} else {
			s.Log(f.String())
		}
	}
	if len(wrong) > 0 {
		return flawf("sdunits check finds settings that break an upgrade (%d):\n%s", len(wrong), strings.Join(wrong, "\n"))
	}
	return nil
}

// upgraded upgrades to the program that is deployed, and checks that it serves.
func (s *scene) upgraded(text string) error {
	e, err := s.reload(text)
	if err != nil {
		return s.refused(err)
	}
	if err := s.replaced(e); err != nil {
		return err
	}
	return s.drained(e)
}

// refused explains a reload that has failed.
func (s *scene) refused(err error) error {
	said, ok := refusal(err)
	if !ok {
		return err
	}
	cause := fmt.Sprintf("the program did not become ready, see the journal; %s, %s", s.units.says("Type"), s.units.says("ExecReload"))
	if strings.Contains(said, "not applicable") {
		cause = s.units.says("ExecReload") + ": a reload has to upgrade the program, as with ExecReload=" + s.path + " reload"
	}
	return flawf("systemctl reload failed with the program that serves: %s. Likely cause: %s. %s", said, cause, s.journal(s.ctx))
}

func (s *scene) reloadUnderLoad() error {
	if err := s.deploy(); err != nil {
		return err
	}
	if err := s.upgraded("the program itself"); err != nil {
		return err
	}
	if err := s.pass(); err != nil {
		return err
	}
	return s.nothingLost()
}
