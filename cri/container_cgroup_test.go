package cri

import "testing"

func TestHugetlbGroup(t *testing.T) {
	for text, want := range map[string][2]string{
		"0::/docker/a\n": {"", "/sys/fs/cgroup/docker/a"},
		"9:hugetlb:/docker/a\n4:memory:/docker/a\n0::/docker/a\n": {"/sys/fs/cgroup/hugetlb/docker/a", ""},
		"4:memory:/docker/a\n0::/\n":                              {"", ""},
		"":                                                        {"", ""},
	} {
		if v1, v2 := hugetlbGroup(text); v1 != want[0] || v2 != want[1] {
			t.Errorf("%q: %q, %q; want %q", text, v1, v2, want)
		}
	}
}
