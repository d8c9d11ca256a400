// Package pipelines holds what is checked of GitHub's and GitLab's pipelines beside what actionlint sees: that GitLab's file has
// only what GitLab knows, that both have the same stages with the same commands, and that nothing of others is taken by a name
// that can be moved. There is no program in it, only the tests.
package pipelines
