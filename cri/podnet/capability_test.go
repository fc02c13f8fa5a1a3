package podnet

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// everyCapability is a network that declares all we know.
const everyCapability = `{"cniVersion": "1.1.0", "name": "all", "plugins": [{"type": "a", "capabilities":
	{"portMappings": true, "dns": true, "ipRanges": true, "bandwidth": true, "ips": true, "mac": true, "cgroupPath": true, "io.kubernetes.cri.pod-annotations": true}}]}`

func richPod() Pod {
	return Pod{
		Namespace: "default", Name: "web-0", UID: "1",
		Ports:        []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, {ContainerPort: 81, Protocol: "tcp"}},
		DNS:          DNS{Servers: []string{"10.0.0.10"}},
		CgroupParent: "/kubepods/pod1",
		Annotations: map[string]string{AnnotationIPs: "10.22.0.7/16, fd00::7", AnnotationMAC: "02:00:0A:16:00:07",
			AnnotationIngress: "10M", AnnotationEgress: "1Gi"},
	}
}

func attachTo(t *testing.T, conflist string, pod Pod, podCIDRs ...netip.Prefix) (Attachment, error) {
	t.Helper()
	network, err := parseNetwork([]byte(conflist), "test", "")
	if err != nil {
		t.Fatal(err)
	}
	return Attach(network, pod, podCIDRs)
}

func TestCapabilitiesReachTheNetwork(t *testing.T) {
	a, err := attachTo(t, everyCapability, richPod(), netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("fd00:1::/64"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"portMappings": `[{"containerPort":80,"hostPort":8080,"protocol":"tcp"}]`,
		"dns":          `{"servers":["10.0.0.10"]}`,
		"ipRanges":     `[[{"subnet":"10.1.2.0/24"}],[{"subnet":"fd00:1::/64"}]]`,
		"bandwidth":    `{"egressBurst":4294967295,"egressRate":1073741824,"ingressBurst":4294967295,"ingressRate":10000000}`,
		"ips":          `["10.22.0.7/16","fd00::7"]`,
		"mac":          `"02:00:0a:16:00:07"`,
		"cgroupPath":   `"/kubepods/pod1"`,
	} {
		if got, err := json.Marshal(a.Capabilities[name]); err != nil || string(got) != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// What the network does not declare it does not get; what the pod insists on
// and cannot have is an error.
func TestCapabilitiesThatAreNotDeclared(t *testing.T) {
	pod := richPod()
	delete(pod.Annotations, AnnotationIPs)
	delete(pod.Annotations, AnnotationMAC)
	a, err := attachTo(t, goodList, pod, netip.MustParsePrefix("10.1.2.0/24"))
	if err != nil || len(a.Capabilities) != 1 || a.Capabilities["dns"] == nil {
		t.Errorf("capabilities %v, %v, want dns alone", a.Capabilities, err)
	}
	for _, annotation := range []string{AnnotationIPs, AnnotationMAC} {
		pod := Pod{Annotations: map[string]string{annotation: richPod().Annotations[annotation]}}
		if _, err := attachTo(t, goodList, pod); err == nil || !strings.Contains(err.Error(), annotation) {
			t.Errorf("%s: %v, want an error that names it", annotation, err)
		}
	}
}

func TestAnnotationsThatAreBroken(t *testing.T) {
	for annotation, values := range map[string][]string{
		AnnotationIPs:     {"", "x", "10.0.0.1,", "10.0.0.1/33"},
		AnnotationMAC:     {"", "x", "02:00:0a:16:00", "02:00:0a:16:00:07:08:09"},
		AnnotationIngress: {"", "M", "-1M", "1e9", "0x10M", "10MB", "1/2M", "999", "2P", "1.5.2M"},
		AnnotationEgress:  {"ten"},
	} {
		for _, value := range values {
			_, err := attachTo(t, everyCapability, Pod{Annotations: map[string]string{annotation: value}})
			if err == nil || !strings.Contains(err.Error(), annotation) {
				t.Errorf("%s=%q: %v, want an error that names it", annotation, value, err)
			}
		}
	}
}

// DEL gets what ADD got: an attachment survives being written down.
func TestAttachmentSurvivesJSON(t *testing.T) {
	a, err := attachTo(t, everyCapability, richPod(), netip.MustParsePrefix("10.1.2.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeAttachment(text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.runtimeConf("id", "/ns"), a.runtimeConf("id", "/ns")) || string(again.Conflist) != string(a.Conflist) {
		t.Errorf("read again: %+v, was %+v", again, a)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, seed := range []string{"10M", "1Gi", "500k", "1.5M", "", "1e9", "99999999999999999999999P", "1ki"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if rate, err := parseRate(text); err == nil && (rate < 1e3 || rate > 1e15) {
			t.Errorf("%q is %d bits a second", text, rate)
		}
	})
}

func FuzzDecodeAttachment(f *testing.F) {
	f.Add([]byte(`{"conflist":` + goodList + `,"args":[["A","B"]],"capabilities":{"dns":{}}}`))
	f.Add([]byte(`{"source":"docker network bridge"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := DecodeAttachment(text)
		if err != nil {
			return
		}
		_ = a.runtimeConf("id", "") // must not panic
		if _, err := json.Marshal(a); err != nil {
			t.Errorf("%s cannot be written down again: %v", text, err)
		}
	})
}
