// Package delivery tests the whole way of an alert: a metric, the rules of this repository on a real Prometheus, its Alertmanager
// configuration on a real Alertmanager, the WeCom bridge, and at the end stubs of a WeCom robot and of a mail server.
package delivery
