// The same processes under PM2, for the image's target pm2. PM2 knows no gate: a service that comes before bootcheck has
// migrated is not ready, and is tried again with growing pauses.
const secrets = (name) => ({
  PGO_CFG_MYSQL__PASSWORD_FILE: `/run/secrets/${name}_mysql_password`,
  PGO_CFG_REDIS__PASSWORD_FILE: `/run/secrets/${name}_redis_password`,
  PGO_CFG_RABBITMQ__PASSWORD_FILE: `/run/secrets/${name}_rabbitmq_password`,
});
const service = (name, port, env = {}) => ({
  name,
  script: `/backend/${name}`,
  interpreter: "none",
  exp_backoff_restart_delay: 100,
  kill_timeout: 15000,
  env: { PGO_CFG_HTTP__ADDR: `0.0.0.0:${port}`, ...secrets(name), ...env },
});

const names = ["user", "school", "task"];

module.exports = {
  apps: [
    {
      name: "bootcheck",
      script: "/backend/bootcheck",
      interpreter: "none",
      exp_backoff_restart_delay: 100,
      kill_timeout: 15000,
      stop_exit_codes: [65, 78],
      env: {
        PGO_CFG_HTTP__ADDR: "0.0.0.0:8090",
        PGO_CFG_GATEWAY_URL: process.env.PGO_GATEWAY_URL,
        PGO_CFG_RABBITMQ__API: "http://rabbitmq:15672",
        PGO_CFG_MYSQL__PASSWORD_FILE: "/run/secrets/mysql_admin_password",
        PGO_CFG_MONITOR__MYSQL_PASSWORD_FILE: "/run/secrets/monitor_mysql_password",
        PGO_CFG_MONITOR__REDIS_PASSWORD_FILE: "/run/secrets/monitor_redis_password",
        PGO_CFG_REDIS__PASSWORD_FILE: "/run/secrets/redis_admin_password",
        PGO_CFG_RABBITMQ__PASSWORD_FILE: "/run/secrets/rabbitmq_admin_password",
        ...Object.assign({}, ...names.map((name) => {
          const key = `PGO_CFG_SERVICES__${name.toUpperCase()}__`;
          return {
            [`${key}BINARY`]: `/backend/${name}`,
            [`${key}MYSQL_PASSWORD_FILE`]: `/run/secrets/${name}_mysql_password`,
            [`${key}REDIS_PASSWORD_FILE`]: `/run/secrets/${name}_redis_password`,
            [`${key}RABBITMQ_PASSWORD_FILE`]: `/run/secrets/${name}_rabbitmq_password`,
          };
        })),
      },
    },
    service("user", 8081, {
      PGO_CFG_AUTH__SIGNING_KEY_FILE: "/run/secrets/user_signing_key.pem",
      PGO_CFG_MAIL__DIR: "/var/lib/pgo-mail",
      PGO_CFG_MAIL__BASE_URL: process.env.PGO_GATEWAY_URL,
    }),
    service("school", 8082, { PGO_CFG_AUTH__USER_URL: "http://127.0.0.1:8081" }),
    service("task", 8083, { PGO_CFG_AUTH__USER_URL: "http://127.0.0.1:8081" }),
  ],
};
