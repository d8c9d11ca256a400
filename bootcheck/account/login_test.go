package account_test

import (
	"strings"
	"testing"

	"pgo/bootcheck/account"
	"pgo/bootcheck/internal/fixture"
)

func TestVerifyMySQLNamesWhatKeepsAServiceOut(t *testing.T) {
	tests := []struct {
		name, statement string // NAME is the service's account
		want            string
	}{
		{"requires TLS", "ALTER USER 'NAME'@'%' REQUIRE SSL", "ALTER USER 'NAME'@'%' REQUIRE NONE"},
		{"hidden by an account with another password", "CREATE USER 'NAME'@'127.0.0.1' IDENTIFIED BY 'another one'", "DROP USER 'NAME'@'127.0.0.1'"},
		{"hidden by an account with the same password", "CREATE USER 'NAME'@'127.0.0.1' IDENTIFIED BY 'PASSWORD'", "NAME"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			servers := fixture.Servers(t)
			s := fixture.NewService(t, servers)
			admin := openMySQL(t, servers.MySQL, "")
			t.Cleanup(func() { execSQL(t, admin, "DROP USER IF EXISTS '"+s.Name+"'@'127.0.0.1'") })
			if err := account.CreateMySQL(t.Context(), admin, servers.MySQL.Addr, s); err != nil {
				t.Fatal(err)
			}
			if err := account.VerifyMySQL(t.Context(), admin, servers.MySQL.Addr, s); err != nil {
				t.Fatal(err)
			}
			execSQL(t, admin, strings.NewReplacer("NAME", s.Name, "PASSWORD", s.MySQLPassword).Replace(tt.statement))
			err := account.VerifyMySQL(t.Context(), admin, servers.MySQL.Addr, s)
			if want := strings.ReplaceAll(tt.want, "NAME", s.Name); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}
