package redis

import (
	"encoding/json"
	"slices"

	"github.com/cdcd-io/cdcd/cachekey"
)

// publishedRule is a rule as the beacon shows it to readers, who must use the same
// templates: what they cache by another one is never deleted.
type publishedRule struct {
	Table         string   `json:"table"`
	Key           string   `json:"key"`
	OnlyIfChanged []string `json:"only_if_changed,omitempty"`
	Where         string   `json:"where,omitempty"`
}

func publish(rules []cachekey.Rule) []publishedRule {
	all := make([]publishedRule, len(rules))
	for i, r := range rules {
		all[i] = publishedRule(r)
	}
	return all
}

// writeRules renders the field keys of a beacon.
func writeRules(rules []cachekey.Rule) (string, error) {
	text, err := json.Marshal(publish(rules))
	return string(text), err
}

func readRules(text string) (rules []publishedRule, err error) {
	if text == "" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &rules)
	return rules, err
}

// added are the rules that a beacon does not know: entries that they concern
// missed every delete so far.
func added(known []publishedRule, rules []cachekey.Rule) (missing []cachekey.Rule) {
	for i, r := range publish(rules) {
		if !slices.ContainsFunc(known, r.same) {
			missing = append(missing, rules[i])
		}
	}
	return missing
}

func (r publishedRule) same(o publishedRule) bool {
	return r.Table == o.Table && r.Key == o.Key && r.Where == o.Where && slices.Equal(r.OnlyIfChanged, o.OnlyIfChanged)
}
