package filter

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Owner names the attachment that packet-filter elements belong to. It is all
// that removing them needs: no address, no port, no live namespace.
type Owner struct {
	Network     string // name of the CNI network
	ContainerID string
	IfName      string // interface inside the pod, such as eth0
}

// maxComment is the longest comment nft accepts, without its quotes
// (NFTNL_UDATA_COMMENT_MAXLEN in nftables, terminating zero included).
const maxComment = 127

// Comment is what an element of this owner carries: two hashes that programs
// compare, then as much of the names as fits, for people. Container IDs alone
// may be longer than nft allows a comment to be.
func (o Owner) Comment() string {
	readable := plain(o.Network) + "/" + plain(o.ContainerID) + "/" + plain(o.IfName)
	return clip(o.key() + " " + readable)
}

// chain is the name of the chain that indexes the owner's elements.
func (o Owner) chain() string { return chainPrefix + o.key() }

// chainPrefix starts the name of every owner's chain.
const chainPrefix = "pod-"

// key identifies the owner: the network's hash, so that GC of one network never
// takes from another, and the attachment's.
func (o Owner) key() string {
	return networkKey(o.Network) + "-" + digest(o.ContainerID, o.IfName)
}

// networkKey is the part of an owner's key that all of a network share.
func networkKey(network string) string { return digest(network) }

// digest is a 64-bit name for the parts. The zero byte between them cannot
// occur in a name, so different parts never join to the same text.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// ownerKey reads the owner's key from an element's comment; "" where the
// comment is none of ours.
func ownerKey(comment string) string {
	key, _, _ := strings.Cut(comment, " ")
	if len(key) != 2*16+1 || key[16] != '-' {
		return ""
	}
	return key
}

// plain replaces what would need quoting in nft or in a shell. Interface names
// may hold any byte but '/', ':' and white space.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		case strings.ContainsRune("_.-", r):
			return r
		}
		return '_'
	}, s)
}

// clip shortens a comment to what nft accepts.
func clip(comment string) string {
	return comment[:min(len(comment), maxComment)]
}
