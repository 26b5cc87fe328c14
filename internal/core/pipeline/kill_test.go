package pipeline

func runKilledServer(string) {}
