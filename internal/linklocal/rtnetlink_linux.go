package linklocal

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Of the netlink library only the part that encodes messages is used: the other part
// knows every kind of interface, and makes the binary 0.16 MiB larger.

// addAddress adds address to the interface with that index, for this host only. An
// address that is already there is no error.
func addAddress(index int, address netip.Addr) error {
	msg := nl.NewIfAddrmsg(unix.AF_INET)
	msg.Index = uint32(index)
	msg.Prefixlen = uint8(address.BitLen())
	msg.Scope = unix.RT_SCOPE_HOST
	return execute(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
		msg,
		nl.NewRtAttr(unix.IFA_LOCAL, address.AsSlice()),
		nl.NewRtAttr(unix.IFA_ADDRESS, address.AsSlice()))
}

// addProhibitRule adds a routing rule that makes packets to address fail. A rule that is
// already there is the error EEXIST.
func addProhibitRule(address netip.Addr, priority uint32) error {
	msg := nl.NewRtMsg()
	msg.Family = unix.AF_INET6
	msg.Table = unix.RT_TABLE_UNSPEC
	msg.Type = unix.RTN_PROHIBIT
	msg.Dst_len = uint8(address.BitLen())
	return execute(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		msg,
		nl.NewRtAttr(unix.RTA_DST, address.AsSlice()),
		nl.NewRtAttr(nl.FRA_PRIORITY, binary.NativeEndian.AppendUint32(nil, priority)))
}

// execute sends a request to the kernel and waits for its acknowledgement.
func execute(message, flags int, parts ...nl.NetlinkRequestData) error {
	request := nl.NewNetlinkRequest(message, flags|unix.NLM_F_ACK)
	for _, part := range parts {
		request.AddData(part)
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
