package httpx

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

type routeKey struct{}

// WithRoute gives a request whose dialect writes the pattern of its route, as "/api/streams/:id",
// into route.
func WithRoute(r *http.Request, route *string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), routeKey{}, route))
}

// tellRoute names the route to whoever has asked for it by WithRoute.
func tellRoute(c *gin.Context) {
	if route, ok := c.Request.Context().Value(routeKey{}).(*string); ok {
		*route = c.FullPath()
	}
}

// SetRoute names the route of a request that no gin engine has handled.
func SetRoute(r *http.Request, name string) {
	if route, ok := r.Context().Value(routeKey{}).(*string); ok {
		*route = name
	}
}
