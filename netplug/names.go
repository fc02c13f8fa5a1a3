package netplug

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/mascri/mascri/spec"
)

// An interface name has 15 bytes (IFNAMSIZ-1). "veth" tells NetworkManager and
// systemd-networkd to leave the link alone; 3 letters stand for the network,
// so that GC recognises its links even before they have an alias, and 8 for
// the attachment: 40 bits, so 10,000 pods collide with a chance of 1 in 20,000.
const (
	hostPrefix    = "veth"
	networkChars  = 3
	attachedChars = 8
)

// maxAlias is IFALIASZ-1 (linux/if.h).
const maxAlias = 255

// base32Lower has no letters that an interface name could not carry.
var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// hostEnd names the host's end of an attachment's veth pair. It is a function
// of what every verb is given, so nothing has to be remembered.
func hostEnd(network string, a spec.Attachment) string {
	return networkPrefix(network) + digest(network + "\x00" + a.ContainerID + "\x00" + a.IfName)[:attachedChars]
}

// networkPrefix begins the host end names of all of a network's attachments.
func networkPrefix(network string) string {
	return hostPrefix + digest(network)[:networkChars]
}

// alias is what `ip link show` displays beside the host end: whose it is.
func alias(network string, a spec.Attachment) string {
	text := aliasPrefix(network) + a.String()
	return text[:min(len(text), maxAlias)]
}

func aliasPrefix(network string) string {
	text := "mascri " + network + " "
	return text[:min(len(text), maxAlias)]
}

// ownedBy tells whether a host link belongs to the network: by its alias, or,
// where an ADD was killed before it set one, by its name alone.
func ownedBy(network, linkName, linkAlias string) bool {
	if !strings.HasPrefix(linkName, networkPrefix(network)) {
		return false
	}
	return linkAlias == "" || strings.HasPrefix(linkAlias, aliasPrefix(network))
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base32Lower.EncodeToString(sum[:])
}
