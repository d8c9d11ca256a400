package gate

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"pgo/bootcheck/account"
	"pgo/bootcheck/binary"
	"pgo/bootcheck/probe"
	"pgo/pkg/migrate"
)

// migrateSchemas migrates every service's schema to the version that its binary expects.
func (g *Gate) migrateSchemas(ctx context.Context) error {
	for _, s := range g.options.Services {
		if err := g.migrateService(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) migrateService(ctx context.Context, s Service) error {
	b := g.targets[s.Name]
	report, err := migrate.Up(ctx, g.schemas[s.Name], b.migrations, g.newMigrateOptions(s.Name))
	if err == nil {
		g.recordSchema(s.Name, report.State)
		err = migrate.CheckCompatible(report.State, b.latest)
	}
	if err != nil {
		g.readSchema(ctx, s.Name) // for the status: the schema may be half migrated
		return classifyMigrationError(fmt.Errorf("service %s: %w", s.Name, err))
	}
	if report.Warning != "" {
		g.options.Log.Warn("service " + s.Name + ": " + report.Warning)
	}
	g.options.Log.Info(fmt.Sprintf("schema of %s is at version %d (%d migrations applied now)", s.Name, report.State.Version, len(report.Applied)),
		zap.Strings("applied", report.Applied))
	return nil
}

// newMigrateOptions returns the options for a service's migrations. Another gate's lock is waited for as long as for a server.
func (g *Gate) newMigrateOptions(service string) migrate.Options {
	foreign := []string{probe.Database}
	for _, s := range g.options.Services {
		if s.Name != service {
			foreign = append(foreign, account.DatabaseName(s.Name))
		}
	}
	return migrate.Options{
		Progress: func(text string) { g.options.Log.Info("service " + service + ": " + text) },
		Repair:   "bootcheck resolve --service " + service,
		LockWait: g.options.Deadline,
		Foreign:  foreign,
	}
}

// readSchema records a service's schema version if the database answers.
func (g *Gate) readSchema(ctx context.Context, service string) {
	if state, err := migrate.ReadState(ctx, g.schemas[service]); err == nil {
		g.recordSchema(service, state)
	}
}

func (g *Gate) recordSchema(service string, state migrate.State) {
	g.status.updateService(service, func(st *ServiceState) {
		st.SchemaVersion, st.MinCodeSchema, st.SchemaDirty = state.Version, state.MinCodeSchema, state.Dirty
	})
}

// Plan reads the binaries and returns, for each service, the migration files that Pass would apply: all of them if the
// service's database does not exist yet.
func (g *Gate) Plan(ctx context.Context) (map[string][]string, error) {
	if err := g.readBinaries(ctx); err != nil {
		return nil, err
	}
	plan := map[string][]string{}
	for _, s := range g.options.Services {
		ms := g.targets[s.Name].migrations
		pending, err := migrate.Pending(ctx, g.schemas[s.Name], ms)
		if hasMySQLError(err, errNoSuchDatabase) {
			pending, err = ms, nil
		}
		if err != nil {
			return nil, classifyMigrationError(fmt.Errorf("service %s: %w", s.Name, err))
		}
		plan[s.Name] = []string{}
		for _, m := range pending {
			plan[s.Name] = append(plan[s.Name], m.File)
		}
	}
	return plan, nil
}

// CheckMigrations reads the migrations of every binary, without a server. It returns an error for invalid migrations. skipped names
// the binaries that could not be read: they may be about to be put in place.
func (g *Gate) CheckMigrations(ctx context.Context) (skipped []string, err error) {
	for _, s := range g.options.Services {
		_, err := binary.Binary{Service: s.Name, Path: s.Binary}.ReadMigrations(ctx)
		var syntax *migrate.SyntaxError
		switch {
		case errors.As(err, &syntax):
			return nil, classifyBinaryError(err)
		case err != nil:
			skipped = append(skipped, err.Error())
		}
	}
	return skipped, nil
}

// Resolve records a person's decision about an interrupted statement in the journal of the service's schema.
func (g *Gate) Resolve(ctx context.Context, service string, r migrate.Resolution) error {
	if err := g.readBinaries(ctx); err != nil {
		return err
	}
	b, ok := g.targets[service]
	if !ok {
		return &Failure{Code: ExitUsage, Err: fmt.Errorf("service %s is not configured", service)}
	}
	if err := migrate.Resolve(ctx, g.schemas[service], b.migrations, r, g.newMigrateOptions(service)); err != nil {
		return classifyMigrationError(fmt.Errorf("service %s: %w", service, err))
	}
	return nil
}
