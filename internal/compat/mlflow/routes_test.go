package mlflow

// AllRoutes is every method and path of the tables, below api, for tests that
// must not forget one.
func (s *Server) AllRoutes() (out [][2]string) {
	for _, routes := range [][]route{s.trackingRoutes(), s.modelRoutes(), s.registryRoutes(), s.webhookRoutes()} {
		for _, r := range routes {
			out = append(out, [2]string{r.method, r.path})
		}
	}
	return out
}
