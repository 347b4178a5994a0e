package units

// sandbox returns the user, the credentials and the sandbox of the service.
func (d Daemon) sandbox() []setting {
	list := []setting{{"Service", "DynamicUser", "yes", "The sandbox, " + string(d.Hardening) + ": upgrades are tested in it."}}
	if d.User != "" {
		list[0].key, list[0].value = "User", d.User
	}
	list = append(list, d.credentials()...)
	switch d.Hardening {
	case Strict:
		return append(list, d.strict()...)
	case Standard:
		return append(list, d.standard()...)
	}
	return list
}

func (d Daemon) credentials() (list []setting) {
	for _, c := range d.Credentials {
		list = append(list, setting{"Service", "LoadCredential", literal(c), ""})
	}
	if len(list) == 0 {
		return nil
	}
	list[0].why = "The program reads $CREDENTIALS_DIRECTORY/NAME."
	if d.Systemd < since["RefreshOnReload"] {
		list[0].why += " A renewed file takes effect with a restart."
		return list
	}
	return append(list, setting{"Service", "RefreshOnReload", "credentials", "A renewed file takes effect with a reload: systemd copies it again before ExecReload=."})
}

const whyUnix = "AF_UNIX is for notifications and the control socket."

func (d Daemon) standard() []setting {
	return inService([][3]string{
		{"CapabilityBoundingSet", "", ""},
		{"LockPersonality", "yes", ""},
		{"NoNewPrivileges", "yes", ""},
		{"PrivateDevices", "yes", ""},
		{"PrivateTmp", "yes", ""},
		{"ProtectClock", "yes", ""},
		{"ProtectControlGroups", "yes", ""},
		{"ProtectHome", "yes", ""},
		{"ProtectHostname", "yes", ""},
		{"ProtectKernelLogs", "yes", ""},
		{"ProtectKernelModules", "yes", ""},
		{"ProtectKernelTunables", "yes", ""},
		{"ProtectSystem", "full", ""},
		{"RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6", whyUnix},
		{"RestrictNamespaces", "yes", ""},
		{"RestrictRealtime", "yes", ""},
		{"RestrictSUIDSGID", "yes", ""},
		{"SystemCallArchitectures", "native", ""},
	})
}

func (d Daemon) strict() []setting {
	list := [][3]string{
		{"CapabilityBoundingSet", "", ""},
		{"LockPersonality", "yes", ""},
		{"MemoryDenyWriteExecute", "yes", ""},
		{"NoNewPrivileges", "yes", ""},
		{"PrivateDevices", "yes", ""},
		{"PrivateMounts", "yes", ""},
		{"PrivateTmp", "yes", ""},
		{"PrivateUsers", "yes", ""},
		{"ProtectClock", "yes", ""},
		{"ProtectControlGroups", "yes", ""},
		{"ProtectHome", "yes", ""},
		{"ProtectHostname", "yes", ""},
		{"ProtectKernelLogs", "yes", ""},
		{"ProtectKernelModules", "yes", ""},
		{"ProtectKernelTunables", "yes", ""},
		{"ProtectProc", "invisible", ""},
		{"ProtectSystem", "strict", ""},
		{"RemoveIPC", "yes", ""},
		{"RestrictNamespaces", "yes", ""},
		{"RestrictRealtime", "yes", ""},
		{"RestrictSUIDSGID", "yes", ""},
		{"SystemCallArchitectures", "native", ""},
		{"SystemCallFilter", "@system-service", "All that an upgrade calls is in it."},
		{"SystemCallFilter", "~@privileged @resources", ""},
		{"UMask", "0077", ""},
	}
	if d.Binds == 0 {
		// Go reads net.core.somaxconn to size the queue of a socket that it binds.
		list = append(list, [3]string{"ProcSubset", "pid", ""})
	}
	return append(inService(list), d.network()...)
}

// network returns the settings of a strict sandbox for the network.
func (d Daemon) network() []setting {
	if d.Network {
		return inService([][3]string{{"RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6", whyUnix}})
	}
	return inService([][3]string{
		{"PrivateNetwork", "yes", "The sockets come from systemd: they are the host's, whatever network this process has."},
		{"RestrictAddressFamilies", "AF_UNIX", whyUnix},
		{"IPAddressDeny", "any", ""},
	})
}

func inService(lines [][3]string) []setting {
	list := make([]setting, len(lines))
	for i, l := range lines {
		list[i] = setting{"Service", l[0], l[1], l[2]}
	}
	return list
}
