ip link add cni0 type bridge
ip link set cni0 address $(ip -br link show cni0 | awk '{print $3}')
sysctl -qw net/ipv6/conf/cni0/accept_ra=0
ip link set cni0 up
ip addr add 10.88.0.1/24 brd + dev cni0
sysctl -qw net/ipv4/ip_forward=1
for chain in $(iptables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	iptables -I "$chain" -o cni0 -j ACCEPT
	iptables -I "$chain" -i cni0 -j ACCEPT
done
nft -f - <<'END'
add table ip mascri
add set ip mascri sources { type ipv4_addr; flags interval; }
add set ip mascri inside { type ipv4_addr . ipv4_addr; flags interval; }
add set ip mascri hairpin { type ipv4_addr . ipv4_addr; flags interval; }
add set ip mascri masquerade_all { type ipv4_addr; flags interval; }
add map ip mascri hostips { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
add map ip mascri hostports { type inet_proto . inet_service : ipv4_addr . inet_service; }
add chain ip mascri conditional
add chain ip mascri lookup
add chain ip mascri prerouting { type nat hook prerouting priority dstnat; policy accept; }
add chain ip mascri output { type nat hook output priority -100; policy accept; }
add chain ip mascri postrouting { type nat hook postrouting priority srcnat; policy accept; }
flush chain ip mascri lookup
flush chain ip mascri prerouting
flush chain ip mascri output
flush chain ip mascri postrouting
add rule ip mascri lookup jump conditional
add rule ip mascri lookup dnat to meta l4proto . ip daddr . th dport map @hostips
add rule ip mascri lookup dnat to meta l4proto . th dport map @hostports
add rule ip mascri prerouting fib daddr type local jump lookup
add rule ip mascri output fib daddr type local jump lookup
add rule ip mascri postrouting ct status dnat ip saddr . ip daddr @hairpin masquerade
add rule ip mascri postrouting ct status dnat ip daddr @masquerade_all masquerade
add rule ip mascri postrouting ip saddr . ip daddr @inside return
add rule ip mascri postrouting ip daddr 224.0.0.0/4 return
add rule ip mascri postrouting ip saddr @sources masquerade
add set ip mascri guarded { type ifname; }
add chain ip mascri guard { type filter hook prerouting priority raw; policy accept; }
flush chain ip mascri guard
add rule ip mascri guard iifname @guarded ip daddr 127.0.0.0/8 drop
END
nft add element ip mascri hairpin '{ 10.88.0.0/24 . 10.88.0.0/24 comment "a51146d38077ff99 lab" }'
nft add element ip mascri hairpin '{ 127.0.0.0/8 . 10.88.0.0/24 comment "a51146d38077ff99 lab" }'
nft add element ip mascri guarded '{ cni0 comment "a51146d38077ff99 lab" }'
sysctl -qw net/ipv4/conf/cni0/route_localnet=1
ip link add vethuuipt3e66n7 master cni0 type veth peer name eth0 netns /run/netns/pod
ip link set vethuuipt3e66n7 up alias "mascri lab c1/eth0"
sysctl -qw net/ipv6/conf/vethuuipt3e66n7/accept_ra=0
bridge link set dev vethuuipt3e66n7 hairpin on isolated off
nsenter --net=/run/netns/pod sysctl -qw net/ipv4/conf/eth0/arp_notify=1 net/ipv6/conf/eth0/accept_dad=0
nsenter --net=/run/netns/pod ip addr add 10.88.0.2/24 brd + dev eth0
nsenter --net=/run/netns/pod ip link set eth0 up
until ip link show vethuuipt3e66n7 | grep -q 'state UP'; do sleep 0.01; done
nft add chain ip mascri pod-a51146d38077ff99-ec43057c07aaa51f
nft add element ip mascri hostports '{ tcp . 8080 comment "a51146d38077ff99-ec43057c07aaa51f lab/c1/eth0" : 10.88.0.2 . 80 }'
nft add rule ip mascri pod-a51146d38077ff99-ec43057c07aaa51f return comment '"hostports tcp . 8080"'
nft add chain ip mascri pod-a51146d38077ff99-ec43057c07aaa51f
nft add element ip mascri hostips '{ udp . 192.0.2.1 . 53 comment "a51146d38077ff99-ec43057c07aaa51f lab/c1/eth0" : 10.88.0.2 . 5353 }'
nft add rule ip mascri pod-a51146d38077ff99-ec43057c07aaa51f return comment '"hostips udp . 192.0.2.1 . 53"'
