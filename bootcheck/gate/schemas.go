package gate

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"pgo/pkg/migrate"
)

// migrate brings every service's schema to where its binary expects it.
func (g *Gate) migrate(ctx context.Context) error {
	for _, s := range g.o.Services {
		if err := g.migrateOne(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) migrateOne(ctx context.Context, s Service) error {
	b := g.brought[s.Name]
	report, err := migrate.Up(ctx, g.schemas[s.Name], b.migrations, migrateOptions(s.Name, g.o.Log))
	if err == nil {
		g.noteSchema(s.Name, report.State)
		err = migrate.CheckCompatible(report.State, b.latest)
	}
	if err != nil {
		g.readSchema(ctx, s.Name) // for the status: it may be half applied
		return migrateFailure(fmt.Errorf("service %s: %w", s.Name, err))
	}
	g.o.Log.Info(fmt.Sprintf("schema of %s is at version %d (%d migrations applied now)", s.Name, report.State.Version, len(report.Applied)),
		zap.Strings("applied", report.Applied))
	return nil
}

func migrateOptions(service string, log *zap.Logger) migrate.Options {
	return migrate.Options{
		Progress: func(text string) { log.Info("service " + service + ": " + text) },
		Repair:   "bootcheck resolve --service " + service,
	}
}

// readSchema notes where a service's schema is, as far as that can be read.
func (g *Gate) readSchema(ctx context.Context, service string) {
	if state, err := migrate.ReadState(ctx, g.schemas[service]); err == nil {
		g.noteSchema(service, state)
	}
}

func (g *Gate) noteSchema(service string, state migrate.State) {
	g.status.service(service, func(st *ServiceState) {
		st.SchemaVersion, st.MinCodeSchema, st.SchemaDirty = state.Version, state.MinCodeSchema, state.Dirty
	})
}

// Plan reads the binaries and returns, for each service, the files that Pass would apply. A database that is not
// there yet has everything to come.
func (g *Gate) Plan(ctx context.Context) (map[string][]string, error) {
	if err := g.readBinaries(ctx); err != nil {
		return nil, err
	}
	plan := map[string][]string{}
	for _, s := range g.o.Services {
		ms := g.brought[s.Name].migrations
		left, err := migrate.Pending(ctx, g.schemas[s.Name], ms)
		if serverSaid(err, erNoDatabase) {
			left, err = ms, nil
		}
		if err != nil {
			return nil, migrateFailure(fmt.Errorf("service %s: %w", s.Name, err))
		}
		plan[s.Name] = []string{}
		for _, m := range left {
			plan[s.Name] = append(plan[s.Name], m.File)
		}
	}
	return plan, nil
}

// Resolve writes a person's word about an interrupted statement of a service's migration into its journal.
func (g *Gate) Resolve(ctx context.Context, service string, r migrate.Resolution) error {
	if err := g.readBinaries(ctx); err != nil {
		return err
	}
	b, ok := g.brought[service]
	if !ok {
		return &Failure{Code: ExitUsage, Err: fmt.Errorf("service %s is not configured", service)}
	}
	if err := migrate.Resolve(ctx, g.schemas[service], b.migrations, r, migrateOptions(service, g.o.Log)); err != nil {
		return migrateFailure(fmt.Errorf("service %s: %w", service, err))
	}
	return nil
}
