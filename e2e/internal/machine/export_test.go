package machine

import "slices"

// Properties are those that Show asks systemd for without systemctl.
var Properties = slices.Concat(unitProperties, typeProperties)
