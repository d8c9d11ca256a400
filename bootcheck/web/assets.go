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

// assets are the files of Swagger UI that our page uses.
var assets = []string{"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-16x16.png", "favicon-32x32.png"}

// newAssets serves Swagger UI's own files by gin-swagger, from the current embedded ones: those that
// gin-swagger comes with are older and are kept on the heap.
func newAssets() gin.HandlerFunc {
	return ginswagger.WrapHandler(&webdav.Handler{FileSystem: embedded{swaggerfiles.FS}, LockSystem: webdav.NewMemLS()})
}

// embedded is a read-only webdav.FileSystem.
type embedded struct{ files fs.FS }

func (e embedded) OpenFile(_ context.Context, name string, flag int, _ os.FileMode) (webdav.File, error) {
	if flag != os.O_RDONLY {
		return nil, fs.ErrPermission
	}
	f, err := http.FS(e.files).Open(name)
	return readOnly{f}, err
}

func (e embedded) Stat(_ context.Context, name string) (fs.FileInfo, error) {
	f, err := http.FS(e.files).Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, f.Close())
}

func (embedded) Mkdir(context.Context, string, os.FileMode) error { return fs.ErrPermission }
func (embedded) RemoveAll(context.Context, string) error          { return fs.ErrPermission }
func (embedded) Rename(context.Context, string, string) error     { return fs.ErrPermission }

type readOnly struct{ http.File }

func (readOnly) Write([]byte) (int, error) { return 0, fs.ErrPermission }
