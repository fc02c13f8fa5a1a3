ip link add cni0 type bridge
ip link set cni0 address $(ip -br link show cni0 | awk '{print $3}')
sysctl -qw net/ipv6/conf/cni0/accept_ra=0
ip link set cni0 up
for chain in $(iptables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	iptables -I "$chain" -o cni0 -j ACCEPT
	iptables -I "$chain" -i cni0 -j ACCEPT
done
for chain in $(ip6tables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	ip6tables -I "$chain" -o cni0 -j ACCEPT
	ip6tables -I "$chain" -i cni0 -j ACCEPT
done
ip link add vethuuipt3e66n7 master cni0 type veth peer name eth0 netns /run/netns/pod
ip link set vethuuipt3e66n7 up alias "mascri lab c1/eth0"
sysctl -qw net/ipv6/conf/vethuuipt3e66n7/accept_ra=0
