package machine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// unitProperties are properties of every unit that systemctl show prints as they are.
var unitProperties = []string{"ActiveState", "SubState", "LoadState", "UnitFileState", "Id"}

// typeProperties are the same for properties that belong to a type of unit.
var typeProperties = []string{
	"ControlGroup", "ControlPID", "ExecMainStatus", "FileDescriptorStoreMax", "MainPID", "NFileDescriptorStore", "NRestarts", "NotifyAccess",
	"ReloadResult", "Result", "StatusBusError", "StatusErrno", "StatusText", "StatusVarlinkError", "Type",
}

// Show returns the value of one property of unit, as systemctl show prints it. A
// property that this systemd does not have is "".
func (m *Machine) Show(ctx context.Context, unit, property string) (string, error) {
	owner := "Unit"
	switch {
	case slices.Contains(typeProperties, property):
		suffix := unit[strings.LastIndexByte(unit, '.')+1:]
		owner = strings.ToUpper(suffix[:1]) + suffix[1:]
	case !slices.Contains(unitProperties, property):
		return m.systemctl(ctx, "show", "--value", "--property="+property, "--", unit)
	}
	value, err := m.property(ctx, unitPath(unit), managerName+"."+owner, property)
	if err != nil {
		return "", fmt.Errorf("machine: property %s of %s: %w", property, unit, err)
	}
	return value, nil
}

// property returns a property of an object, "" if the object does not have it.
func (m *Machine) property(ctx context.Context, object dbus.ObjectPath, owner, name string) (value string, err error) {
	err = m.withBus(ctx, func(b *bus) error {
		answer, err := b.call(object, "org.freedesktop.DBus.Properties", "Get", owner, name)
		if missing(err) {
			return nil
		}
		var v dbus.Variant
		if err == nil {
			err = dbus.Store(answer, &v)
		}
		value = fmt.Sprint(v.Value())
		return err
	})
	return value, err
}

// missing reports whether an object refuses to return a property because it does not have it.
func missing(err error) bool {
	const errs = "org.freedesktop.DBus.Error."
	refusal := dbus.Error{}
	return errors.As(err, &refusal) && (refusal.Name == errs+"UnknownProperty" || refusal.Name == errs+"UnknownInterface")
}
