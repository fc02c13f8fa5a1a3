ip link add cni0 type bridge
ip link set cni0 address $(ip -br link show cni0 | awk '{print $3}')
sysctl -qw net/ipv6/conf/cni0/accept_ra=0
ip link set cni0 up
for chain in $(iptables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	iptables -I "$chain" -o cni0 -j ACCEPT
	iptables -I "$chain" -i cni0 -j ACCEPT
done
ip link add vethuuipt3e66n7 master cni0 type veth peer name eth0 address 02:00:00:00:00:07 netns /run/netns/pod
ip link set vethuuipt3e66n7 up alias "mascri lab c1/eth0"
sysctl -qw net/ipv6/conf/vethuuipt3e66n7/accept_ra=0
bridge link set dev vethuuipt3e66n7 hairpin on isolated on
nft -f - <<'END'
add table bridge mascri
add set bridge mascri checked { type ifname; }
add set bridge mascri allowed { type ifname . ether_addr; }
add chain bridge mascri prerouting { type filter hook prerouting priority dstnat; policy accept; }
flush chain bridge mascri prerouting
add rule bridge mascri prerouting iifname @checked iifname . ether saddr != @allowed drop
END
nft add chain bridge mascri pod-a51146d38077ff99-ec43057c07aaa51f
nft add element bridge mascri allowed '{ vethuuipt3e66n7 . 02:00:00:00:00:07 comment "a51146d38077ff99-ec43057c07aaa51f lab/c1/eth0" }'
nft add rule bridge mascri pod-a51146d38077ff99-ec43057c07aaa51f return comment '"allowed vethuuipt3e66n7 . 02:00:00:00:00:07"'
nft add element bridge mascri checked '{ vethuuipt3e66n7 comment "a51146d38077ff99-ec43057c07aaa51f lab/c1/eth0" }'
nft add rule bridge mascri pod-a51146d38077ff99-ec43057c07aaa51f return comment '"checked vethuuipt3e66n7"'
nsenter --net=/run/netns/pod sysctl -qw net/ipv4/conf/eth0/arp_notify=1 net/ipv6/conf/eth0/accept_dad=0
nsenter --net=/run/netns/pod ip addr add 10.88.0.2/24 brd + dev eth0
nsenter --net=/run/netns/pod ip link set eth0 up
until ip link show vethuuipt3e66n7 | grep -q 'state UP'; do sleep 0.01; done
