package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func notification(summary string) Notification {
	return Notification{
		Status: "firing", CommonLabels: map[string]string{"alertname": "MySQLDown", "severity": "critical"},
		Alerts: []Alert{{
			Status: "firing", Labels: map[string]string{"alertname": "MySQLDown"}, StartsAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Annotations: map[string]string{"summary": "MySQL does not answer", "summary_zh": summary, "runbook_url": "https://runbooks.test/MySQLDown.md"},
		}},
	}
}

func TestWhatWeComAnswers(t *testing.T) {
	short, long := "MySQL 无响应", strings.Repeat("数据库没有响应", 10000/7+1)
	tests := []struct {
		name    string
		summary string
		answers []answer
		key     string
		status  int // for Alertmanager
		taken   int
		counts  string
	}{
		{"taken", short, nil, testKey, 200, 1, "messages{delivered} 1, tries{ok} 1"},
		{"rate limited once", short, []answer{{code: 45009}}, testKey, 200, 1, "messages{delivered} 1, tries{ok} 1, tries{rate_limited} 1"},
		{"rate limited on and on", short, []answer{{code: 45009}, {code: 45009}, {code: 45009}}, testKey, 503, 0, "messages{again} 1, tries{rate_limited} 3"},
		{"too long for WeCom, though within its limit", short, []answer{{code: 40058}}, testKey, 200, 1, "messages{delivered} 1, tries{ok} 1, tries{too_long} 1"},
		{"too long however short", short, []answer{{code: 40058}, {code: 40058}, {code: 40058}}, testKey, 422, 0, "messages_lost{too_long} 1, messages{lost} 1, tries{too_long} 3"},
		{"HTTP 500 once", short, []answer{{status: 500}}, testKey, 200, 1, "messages{delivered} 1, tries{ok} 1, tries{unreachable} 1"},
		{"HTTP 500 on and on", short, []answer{{status: 500}, {status: 502}, {status: 429}}, testKey, 503, 0, "messages{again} 1, tries{unreachable} 3"},
		{"no answer in time, once", short, []answer{{hang: true}}, testKey, 200, 1, "messages{delivered} 1, tries{ok} 1, tries{unreachable} 1"},
		{"no answer in time, on and on", short, []answer{{hang: true}, {hang: true}, {hang: true}}, testKey, 503, 0, "messages{again} 1, tries{unreachable} 3"},
		{"a page of a proxy instead of an answer", short, []answer{{body: "<html>"}, {body: "{}"}}, testKey, 200, 1, "messages{delivered} 1, tries{ok} 1, tries{unreachable} 2"},
		{"WeCom is busy", short, []answer{{code: -1}}, testKey, 200, 1, "messages{delivered} 1, tries{ok} 1, tries{unreachable} 1"},
		{"a robot that was removed", short, nil, "another-key", 422, 0, "messages_lost{bad_key} 1, messages{lost} 1, tries{bad_key} 1"},
		{"an unknown error code", short, []answer{{code: 12345}}, testKey, 422, 0, "messages_lost{rejected} 1, messages{lost} 1, tries{rejected} 1"},
		{"HTTP 404", short, []answer{{status: 404}}, testKey, 422, 0, "messages_lost{rejected} 1, messages{lost} 1, tries{rejected} 1"},
		{"10,000 characters of Chinese", long, nil, testKey, 200, 1, "messages_lost{truncated} 1, messages{delivered} 1, tries{ok} 1"},
		{"no robot", short, nil, "", 200, 0, "messages{logged} 1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			stub := newStub(t, tc.answers...)
			bridge, log, reg := bridgeTo(t, stub, tc.key)
			body, err := json.Marshal(notification(tc.summary))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.Post(bridge.URL, "application/json", strings.NewReader(string(body)))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			taken, _ := stub.got()
			if resp.StatusCode != tc.status || len(taken) != tc.taken || counts(t, reg) != tc.counts {
				t.Errorf("answered %d, %d taken, %s\nwant %d, %d, %s", resp.StatusCode, len(taken), counts(t, reg), tc.status, tc.taken, tc.counts)
			}
			if strings.Contains(log.String(), testKey) || strings.Contains(log.String(), "another-key") {
				t.Errorf("the robot's key is in the log: %s", log)
			}
			if tc.status != 200 && !strings.Contains(log.String(), "MySQLDown") {
				t.Errorf("the log does not name the alert: %s", log)
			}
		})
	}
}

func TestWhatIsNoNotification(t *testing.T) {
	tests := []struct{ name, body, counts string }{
		{"no JSON", "hello", "messages_lost{rejected} 1, messages{lost} 1"},
		{"too large", `{"status":"` + strings.Repeat("x", maxBody) + `"}`, "messages_lost{overflow} 1, messages{lost} 1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			bridge, _, reg := bridgeTo(t, newStub(t), testKey)
			resp, err := http.Post(bridge.URL, "application/json", strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 422 || counts(t, reg) != tc.counts {
				t.Errorf("answered %d, %s", resp.StatusCode, counts(t, reg))
			}
		})
	}
}
