package systemd

// sandbox lists the restrictions that a static Go program that serves HTTP and talks to servers can live with.
var sandbox = [][2]string{
	{"NoNewPrivileges", "yes"},
	{"CapabilityBoundingSet", "~CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_MODULE CAP_NET_ADMIN CAP_MKNOD CAP_SYS_RAWIO CAP_SYS_BOOT CAP_SYS_TIME"},
	{"ProtectSystem", "strict"},
	{"ProtectHome", "read-only"},
	{"PrivateTmp", "yes"},
	{"PrivateDevices", "yes"},
	{"ProtectKernelTunables", "yes"},
	{"ProtectKernelModules", "yes"},
	{"ProtectKernelLogs", "yes"},
	{"ProtectControlGroups", "yes"},
	{"ProtectClock", "yes"},
	{"ProtectHostname", "yes"},
	{"RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"},
	{"RestrictNamespaces", "yes"},
	{"RestrictRealtime", "yes"},
	{"RestrictSUIDSGID", "yes"},
	{"LockPersonality", "yes"},
	{"MemoryDenyWriteExecute", "yes"},
	{"SystemCallArchitectures", "native"},
	{"SystemCallFilter", "@system-service"},
	{"UMask", "0077"},
}
