package unitfile

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// IsYes reports whether value is a boolean that is on.
func IsYes(value string) bool {
	return slices.Contains([]string{"yes", "true", "on", "1", "y", "t"}, strings.ToLower(value))
}

// IsNo reports whether value is a boolean that is off.
func IsNo(value string) bool {
	return slices.Contains([]string{"no", "false", "off", "0", "n", "f"}, strings.ToLower(value))
}

// sizeUnits are powers of 1024, the largest first. The last has no name.
var sizeUnits = []string{"E", "P", "T", "G", "M", "K", "B", ""}

// Size reads a number of bytes such as 64M or 1G 512M, in which each unit is smaller than the
// one before. A percentage and infinity are no number.
func Size(text string) (bytes uint64, err error) {
	wrong := func(why string) (uint64, error) { return 0, fmt.Errorf("size %q: %s", text, why) }
	smaller := sizeUnits
	for rest := text; rest != "" || bytes == 0 && len(smaller) == len(sizeUnits); {
		whole, after := digits(strings.TrimLeft(rest, blanks))
		number, err := strconv.ParseUint(whole, 10, 64)
		if err != nil {
			return wrong("want a number at " + strconv.Quote(rest))
		}
		fraction := ""
		if point, ok := strings.CutPrefix(after, "."); ok {
			fraction, after = digits(point)
		}
		after = strings.TrimLeft(after, blanks)
		unit := slices.IndexFunc(smaller, func(name string) bool { return strings.HasPrefix(after, name) })
		if unit < 0 {
			return wrong("a unit must be smaller than the one before")
		}
		part, _ := strconv.ParseFloat("0."+fraction+"0", 64) // digits alone
		factor := factorOf(smaller[unit])
		if part > 0 && number == math.MaxUint64/factor || number > math.MaxUint64/factor {
			return wrong("out of range")
		}
		sum := number*factor + uint64(part*float64(factor))
		if sum > math.MaxUint64-bytes {
			return wrong("out of range")
		}
		bytes += sum
		rest = after[len(smaller[unit]):]
		smaller = smaller[unit+1:]
	}
	return bytes, nil
}

// factorOf returns the number of bytes in a unit of sizeUnits.
func factorOf(unit string) uint64 {
	return 1 << (10 * max(0, strings.Index("BKMGTPE", unit)))
}
