package filter

import "fmt"

// ForwardAccept lets traffic from and to a bridge through a host that drops
// what it forwards, as Docker makes it do. An accept in a chain of ours would
// not help: a packet has to be accepted by every chain at the hook. So the rule
// goes where the drop is: into DOCKER-USER, the chain Docker keeps for others,
// or where there is none into FORWARD when its policy is DROP. It is written as
// iptables-nft writes it, so that iptables -S lists it and iptables -D removes it.
type ForwardAccept struct {
	Bridge string // name of the bridge, such as cni0
	Family Family // IPv4 or IPv6
}

// String is the shell commands that Apply equals: which chain takes the rules
// depends on the host.
func (a ForwardAccept) String() string {
	cmd := a.Family.iptables()
	return fmt.Sprintf(`for chain in $(%[1]s -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	%[1]s -I "$chain" -o %[2]s -j ACCEPT
	%[1]s -I "$chain" -i %[2]s -j ACCEPT
done`, cmd, a.Bridge)
}
