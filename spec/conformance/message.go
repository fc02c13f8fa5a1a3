package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// result is a Success object of section 5, read without demanding anything
// that a row is there to demand.
type result struct {
	CNIVersion string            `json:"cniVersion"`
	Interfaces []resultInterface `json:"interfaces"`
	IPs        []resultIP        `json:"ips"`
	Routes     []resultRoute     `json:"routes"`
	DNS        resultDNS         `json:"dns"`

	raw map[string]any
}

type resultInterface struct {
	Name    string `json:"name"`
	MAC     string `json:"mac"`
	MTU     int    `json:"mtu"`
	Sandbox string `json:"sandbox"`
}

type resultIP struct {
	Address   string `json:"address"`
	Gateway   string `json:"gateway"`
	Interface *int   `json:"interface"`
}

type resultRoute struct {
	Dst      string `json:"dst"`
	Gateway  string `json:"gw"`
	MTU      int    `json:"mtu"`
	AdvMSS   int    `json:"advmss"`
	Priority int    `json:"priority"`
	Table    *int   `json:"table"`
	Scope    *int   `json:"scope"`
}

type resultDNS struct {
	Nameservers []string `json:"nameservers"`
	Domain      string   `json:"domain"`
	Search      []string `json:"search"`
	Options     []string `json:"options"`
}

// empty tells whether there is nothing about DNS.
func (d resultDNS) empty() bool {
	return len(d.Nameservers) == 0 && d.Domain == "" && len(d.Search) == 0 && len(d.Options) == 0
}

// errorObject is the Error of section 5.
type errorObject struct {
	CNIVersion string `json:"cniVersion"`
	Code       *uint  `json:"code"`
	Msg        string `json:"msg"`
	Details    string `json:"details"`

	raw map[string]any
}

func parseResult(stdout string) (result, error) {
	var r result
	raw, err := oneObject(stdout, &r)
	r.raw = raw
	if err == nil && raw["msg"] != nil && raw["code"] != nil {
		err = errors.New("it is an error object")
	}
	return r, err
}

func parseError(stdout string) (errorObject, error) {
	var e errorObject
	raw, err := oneObject(stdout, &e)
	e.raw = raw
	if err == nil && (e.Code == nil || e.Msg == "") {
		err = errors.New("it is no error object: code and msg must be there")
	}
	return e, err
}

// oneObject decodes exactly one JSON object into v and into a map.
func oneObject(text string, v any) (map[string]any, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("stdout is empty")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	var raw json.RawMessage
	if err := decoder.Decode(&raw); err != nil {
		return nil, fmt.Errorf("stdout is no JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("stdout holds more than one JSON document")
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, errors.New("stdout is null")
	}
	return object, nil
}

// with returns a copy of the result with one key changed, for use as a
// prevResult.
func (r result) with(key string, value any) map[string]any {
	changed := map[string]any{}
	for k, v := range r.raw {
		changed[k] = v
	}
	changed[key] = value
	return changed
}

// container returns the interface called name in that sandbox.
func (r result) container(name, sandbox string) (resultInterface, bool) {
	for _, i := range r.Interfaces {
		if i.Name == name && i.Sandbox == sandbox {
			return i, true
		}
	}
	return resultInterface{}, false
}
