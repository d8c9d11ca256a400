package pipelines

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDependabotKnowsEveryModule compares the directories of .github/dependabot.yml with those that have a go.mod or a Dockerfile.
func TestDependabotKnowsEveryModule(t *testing.T) {
	var config struct {
		Updates []struct {
			Ecosystem   string   `yaml:"package-ecosystem"`
			Directory   string   `yaml:"directory"`
			Directories []string `yaml:"directories"`
		} `yaml:"updates"`
	}
	read(t, ".github/dependabot.yml", &config)
	listed := map[string][]string{}
	for _, update := range config.Updates {
		directories := update.Directories
		if update.Directory != "" {
			directories = append(directories, update.Directory)
		}
		listed[update.Ecosystem] = slices.Sorted(slices.Values(directories))
	}
	for ecosystem, file := range map[string]string{"gomod": "go.mod", "docker": "Dockerfile"} {
		if diff := cmp.Diff(directoriesWith(t, file), listed[ecosystem]); diff != "" {
			t.Errorf("directories of %s (- with a %s, + in dependabot.yml):\n%s", ecosystem, file, diff)
		}
	}
	if !slices.Equal(listed["github-actions"], []string{"/"}) {
		t.Errorf("the directories of github-actions are %q", listed["github-actions"])
	}
}

// directoriesWith returns the directories that have a file of this name, sorted, as dependabot names them: "/deploy/pgo".
func directoriesWith(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := path != "." && strings.HasPrefix(entry.Name(), ".")
		if entry.IsDir() && (hidden || entry.Name() == "node_modules" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if entry.Name() == name {
			found = append(found, "/"+filepath.Dir(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(slices.Values(found))
}
