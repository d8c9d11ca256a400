package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const stepLimit = 30 * time.Second // for one step: a page that never shows what is waited for fails the test

// page is a tab of a headless Chromium. Each method waits for what it needs and fails the test when it does
// not come, with a screenshot beside the test's temporary files.
type page struct {
	t   *testing.T
	ctx context.Context
}

// newPage opens a browser with a profile of its own.
func newPage(t *testing.T) page {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 1600), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox refuses root
	}
	ctx, stop := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(options...), chromedp.WithErrorf(t.Logf))
	t.Cleanup(stop)
	p := page{t, ctx}
	if err := chromedp.Do(ctx); err != nil { // starts the browser, which lives as long as this context
		t.Fatalf("start Chromium: %v", err)
	}
	return p
}

func (p page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.fail(what, err)
	}
}

func (p page) fail(what string, err error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepLimit)
	defer cancel()
	if png, shotErr := chromedp.Run(ctx, chromedp.FullScreenshot(100)); shotErr == nil {
		file := filepath.Join(os.TempDir(), "pgo-e2e-failed.png")
		if os.WriteFile(file, png, 0o600) == nil {
			p.t.Logf("screenshot: %s", file)
		}
	}
	p.t.Fatalf("%s: %v", what, err)
}

func (p page) open(url string) {
	p.t.Helper()
	p.do("open "+url, chromedp.Navigate(url))
}

func (p page) click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (p page) see(selector string) {
	p.t.Helper()
	p.do("see "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

func (p page) gone(selector string) {
	p.t.Helper()
	p.do(selector+" goes away", chromedp.WaitNotPresent(chromedp.CSS(selector)))
}

func (p page) text(selector string) string {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.TextContent(chromedp.CSS(selector)))
	if err != nil {
		p.fail("read "+selector, err)
	}
	return s
}

func (p page) is(expression string) bool {
	p.t.Helper()
	b, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression))
	if err != nil {
		p.fail(expression, err)
	}
	return b
}

// fill replaces what an input, text area or select holds, as its own page's code sees a person's typing.
func (p page) fill(selector, value string) {
	p.t.Helper()
	p.see(selector)
	p.is(fmt.Sprintf(`(() => {
		const field = document.querySelector(%q);
		Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, %q);
		field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", {bubbles: true}));
		field.dispatchEvent(new FocusEvent("focusout", {bubbles: true})); // a page may wait for more typing until then
		return true;
	})()`, selector, value))
}
