ip link add br0 type bridge
ip link set br0 address $(ip -br link show br0 | awk '{print $3}')
sysctl -qw net/ipv6/conf/br0/accept_ra=0
ip link set br0 up
for chain in $(iptables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	iptables -I "$chain" -o br0 -j ACCEPT
	iptables -I "$chain" -i br0 -j ACCEPT
done
for chain in $(ip6tables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	ip6tables -I "$chain" -o br0 -j ACCEPT
	ip6tables -I "$chain" -i br0 -j ACCEPT
done
ip link add vethuuipt3e66n7 master br0 type veth peer name eth0 netns /run/netns/pod
ip link set vethuuipt3e66n7 up alias "mascri lab c1/eth0"
sysctl -qw net/ipv6/conf/vethuuipt3e66n7/accept_ra=0
nsenter --net=/run/netns/pod ip link set eth0 up
until ip link show vethuuipt3e66n7 | grep -q 'state UP'; do sleep 0.01; done
