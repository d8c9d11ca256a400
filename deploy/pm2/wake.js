// bootcheck runs this when the services may start. PM2 starts the services that do not run. Running services are left alone,
// so that bootcheck may be started again at any time.
//
//   node wake.js PM2 ECOSYSTEM NAME...
const { execFileSync } = require('child_process')

const [script, file, ...names] = process.argv.slice(2)
const pm2 = (...args) => execFileSync(process.execPath, [script, ...args], { encoding: 'utf8', maxBuffer: 64 << 20 })

// The list is the last line: PM2 prints others before it when it has to start its daemon first.
const apps = JSON.parse(pm2('jlist').trim().split('\n').pop())
const running = apps.filter((app) => ['online', 'launching', 'waiting restart'].includes(app.pm2_env.status)).map((app) => app.name)
const asleep = names.filter((name) => !running.includes(name))
// PM2 no longer watches the file of a stopped app, also after its next start: such an app is deleted and re-created.
for (const name of asleep) if (apps.some((app) => app.name === name)) pm2('delete', name)
if (asleep.length > 0) console.log(pm2('start', file, '--only', asleep.join(',')))
