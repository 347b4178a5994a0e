//go:build linux

package upgradetest

import (
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// A unitConfig holds the settings of the [Unit] and [Install] sections.
type unitConfig struct {
	description   string
	requires      []string
	wants         []string
	startInterval time.Duration
	startBurst    int
}

func defaultUnitConfig() unitConfig {
	return unitConfig{startInterval: 10 * time.Second, startBurst: 5}
}

func unitSettings() settings[unitConfig] {
	type c = unitConfig
	ignored := setting[c]{read: func(*c, string) error { return nil }}
	return settings[c]{
		"Description":           field(parseText, func(c *c) *string { return &c.description }),
		"Requires":              unitNames(func(c *c) *[]string { return &c.requires }),
		"BindsTo":               unitNames(func(c *c) *[]string { return &c.requires }),
		"Wants":                 unitNames(func(c *c) *[]string { return &c.wants }),
		"StartLimitIntervalSec": field(unitfile.Span, func(c *c) *time.Duration { return &c.startInterval }),
		"StartLimitBurst":       field(parseCount, func(c *c) *int { return &c.startBurst }),
		// Sockets are always opened before their service and there is nothing else to order.
		"After": ignored, "Before": ignored, "Documentation": ignored,
	}
}
