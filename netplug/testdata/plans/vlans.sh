ip link add cni0 type bridge vlan_filtering 1
ip link set cni0 address $(ip -br link show cni0 | awk '{print $3}')
sysctl -qw net/ipv6/conf/cni0/accept_ra=0
ip link set cni0 up
bridge vlan add dev cni0 vid 100 self
ip link add link cni0 name cni0.100 type vlan id 100
sysctl -qw net/ipv6/conf/cni0.100/accept_ra=0
ip link set cni0.100 up
ip addr add 10.88.0.1/24 brd + dev cni0.100
sysctl -qw net/ipv4/ip_forward=1
for chain in $(iptables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	iptables -I "$chain" -o cni0 -j ACCEPT
	iptables -I "$chain" -i cni0 -j ACCEPT
done
for chain in $(iptables -S | sed -n 's/^-N \(DOCKER-USER\)$/\1/p; s/^-P \(FORWARD\) DROP$/\1/p' | sort | head -n 1); do
	iptables -I "$chain" -o cni0.100 -j ACCEPT
	iptables -I "$chain" -i cni0.100 -j ACCEPT
done
ip link add vethuuipt3e66n7 master cni0 type veth peer name eth0 netns /run/netns/pod
ip link set vethuuipt3e66n7 up alias "mascri lab c1/eth0"
sysctl -qw net/ipv6/conf/vethuuipt3e66n7/accept_ra=0
bridge vlan del dev vethuuipt3e66n7 vid $(cat /sys/class/net/cni0/bridge/default_pvid)
bridge vlan add dev vethuuipt3e66n7 vid 7
bridge vlan add dev vethuuipt3e66n7 vid 20-22
bridge vlan add dev vethuuipt3e66n7 vid 100 pvid untagged
nsenter --net=/run/netns/pod sysctl -qw net/ipv4/conf/eth0/arp_notify=1 net/ipv6/conf/eth0/accept_dad=0
nsenter --net=/run/netns/pod ip addr add 10.88.0.2/24 brd + dev eth0
nsenter --net=/run/netns/pod ip link set eth0 up
until ip link show vethuuipt3e66n7 | grep -q 'state UP'; do sleep 0.01; done
