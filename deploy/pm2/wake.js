// What bootcheck runs when the services may start: has PM2 start those that do not run. Those that do are left alone, so
// that bootcheck may be started again at any time.
//
//   node wake.js PM2 ECOSYSTEM NAME...
const { execFileSync } = require('child_process')

const [script, file, ...names] = process.argv.slice(2)
const pm2 = (...args) => execFileSync(process.execPath, [script, ...args], { encoding: 'utf8', maxBuffer: 64 << 20 })

// One line, behind what PM2 says where it has to start its daemon first.
const apps = JSON.parse(pm2('jlist').trim().split('\n').pop())
const running = apps.filter((app) => ['online', 'launching', 'waiting restart'].includes(app.pm2_env.status)).map((app) => app.name)
const asleep = names.filter((name) => !running.includes(name))
// PM2 looks no more at the file of one that was stopped, also when it is started again: so that one is made anew.
for (const name of asleep) if (apps.some((app) => app.name === name)) pm2('delete', name)
if (asleep.length > 0) console.log(pm2('start', file, '--only', asleep.join(',')))
