ip link add cni0 type bridge
ip link set cni0 address $(ip -br link show cni0 | awk '{print $3}')
ip link set cni0 promisc on
sysctl -qw net/ipv6/conf/cni0/accept_ra=0
ip link set cni0 up
for chain in $(ip6tables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	ip6tables -I "$chain" -o cni0 -j ACCEPT
	ip6tables -I "$chain" -i cni0 -j ACCEPT
done
ip link add vethuuipt3e66n7 master cni0 type veth peer name eth0 netns /run/netns/pod
ip link set vethuuipt3e66n7 up alias "mascri lab c1/eth0"
sysctl -qw net/ipv6/conf/vethuuipt3e66n7/accept_ra=0
nsenter --net=/run/netns/pod sysctl -qw net/ipv4/conf/eth0/arp_notify=1 net/ipv6/conf/eth0/accept_dad=1 net/ipv6/conf/eth0/enhanced_dad=1 net/ipv6/conf/lo/disable_ipv6=0 net/ipv6/conf/eth0/disable_ipv6=0 net/ipv6/conf/eth0/keep_addr_on_down=1 net/ipv6/conf/eth0/accept_ra=0
nsenter --net=/run/netns/pod ip addr add fd88::2/64 dev eth0
nsenter --net=/run/netns/pod ip link set eth0 up
until ip link show vethuuipt3e66n7 | grep -q 'state UP'; do sleep 0.01; done
while nsenter --net=/run/netns/pod ip -6 addr show eth0 | grep -q tentative; do sleep 0.02; done
