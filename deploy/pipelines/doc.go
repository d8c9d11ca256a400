// Package pipelines tests the files of GitHub's and GitLab's pipelines, beyond the checks of actionlint: GitLab's file has only
// known keys, both have the same stages with the same commands, foreign actions are pinned to commits, and dependabot knows every
// module. It has only tests.
package pipelines
