package web

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
	swaggerfiles "github.com/swaggo/files/v2"
	ginswagger "github.com/swaggo/gin-swagger"
	"golang.org/x/net/webdav"
)

// assets lists the files of Swagger UI that the page uses.
var assets = []string{"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-16x16.png", "favicon-32x32.png"}

// newAssets returns gin-swagger's handler for the embedded files of swaggo/files. The files that gin-swagger brings are
// older and stay on the heap.
func newAssets() gin.HandlerFunc {
	return ginswagger.WrapHandler(&webdav.Handler{FileSystem: embeddedFiles{swaggerfiles.FS}, LockSystem: webdav.NewMemLS()})
}

// embeddedFiles implements a read-only webdav.FileSystem.
type embeddedFiles struct{ files fs.FS }

func (e embeddedFiles) OpenFile(_ context.Context, name string, flag int, _ os.FileMode) (webdav.File, error) {
	if flag != os.O_RDONLY {
		return nil, fs.ErrPermission
	}
	f, err := http.FS(e.files).Open(name)
	return readOnlyFile{f}, err
}

func (e embeddedFiles) Stat(_ context.Context, name string) (fs.FileInfo, error) {
	f, err := http.FS(e.files).Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, f.Close())
}

func (embeddedFiles) Mkdir(context.Context, string, os.FileMode) error { return fs.ErrPermission }
func (embeddedFiles) RemoveAll(context.Context, string) error          { return fs.ErrPermission }
func (embeddedFiles) Rename(context.Context, string, string) error     { return fs.ErrPermission }

type readOnlyFile struct{ http.File }

func (readOnlyFile) Write([]byte) (int, error) { return 0, fs.ErrPermission }
