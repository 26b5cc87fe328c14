// A real server with a small real story: `slipway up` on a workspace of its own,
// filled by plain commands. The pipeline's steps copy files, so that no Python
// is needed; rows and models are those of the gate's tests.
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const rows = fileURLToPath(new URL('../../internal/core/gate/testdata', import.meta.url))

const yaml = `project: flights
data:
  flights: {path: data/flights/, time: departed_at, key: flight_id, contract: contract.yaml}
pipeline:
  prepare:
    run: cat data/flights/a.csv > features.csv && cp holdout.csv test.csv
    in: [flights]
    out: {features: features.csv, test: test.csv}
  train:
    run: echo training && cp made.txt model.txt
    in: [prepare.features]
    params: {depth: 3}
    out: {model: model.txt}
  report:
    run: wc -l features.csv > report.txt
    in: [prepare.features]
    out: [report.txt]
model: {name: delay, from: train.model, task: binary, target: delayed}
gates:
  data: prepare.test
  block: 1d
  min_rows: 500
  metrics:
    - {metric: roc_auc, min: 0.55, ci: 0.95}
    - {metric: ece, max: 0.9}
  slices:
    - {by: [carrier], metric: roc_auc, min: 0.4, min_rows: 100}
deploy:
  staging: {on: registered}
  production: {from: staging}
monitor:
  window: 3d
  quality: {metric: roc_auc, min: 0.5, labels: {max_age: 1d}}
retrain:
  on: [{schedule: "0 3 1 * *"}]
`

/** Real is a running server and what the story left in it. */
export interface Real {
  url: string
  link: string // opens the interface as the person who started the server
  stop: () => Promise<void>
}

/** free finds a port that nothing listens on. */
async function free(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((r) => probe.listen(0, '127.0.0.1', r))
  const at = probe.address()
  await new Promise((r) => probe.close(r))
  return typeof at === 'object' && at ? at.port : 0
}

/** real starts the server and tells the story: data, runs, two versions, a refused batch, requests, labels. */
export async function real(binary: string): Promise<Real> {
  const dir = await mkdtemp(join(tmpdir(), 'slipway-ui-'))
  const project = join(dir, 'project')
  const [port, inference] = [await free(), await free()]
  const env = { ...process.env, SLIPWAY_WORKSPACE: join(dir, 'workspace'), HOME: dir, SLIPWAY_SERVER: '', SLIPWAY_INFERENCE: `http://127.0.0.1:${inference}` }
  await mkdir(join(project, 'data/flights'), { recursive: true })
  const [head, ...lines] = (await readFile(join(rows, 'train.csv'), 'utf8')).trim().split('\n')
  const csv = (path: string, rows: string[]) => writeFile(path, [head, ...rows].join('\n') + '\n')
  await csv(join(project, 'data/flights/a.csv'), lines.slice(0, 2400))
  await csv(join(dir, 'b.csv'), lines.slice(2400))
  await copyFile(join(rows, 'test.csv'), join(project, 'holdout.csv'))
  await copyFile(join(rows, 'champion.txt'), join(project, 'made.txt'))
  await writeFile(join(project, 'slipway.yaml'), yaml.replace(', contract: contract.yaml', ''))

  const up: ChildProcess = spawn(binary, ['up', '--replay', '--listen', `127.0.0.1:${port}`, '--inference', `127.0.0.1:${inference}`], { cwd: project, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  up.stdout!.on('data', (b: Buffer) => (said += b))
  up.stderr!.on('data', (b: Buffer) => (said += b))
  const gone = new Promise<void>((r) => up.on('exit', () => r()))
  const stop = async () => {
    up.kill('SIGTERM')
    await gone
    await rm(dir, { recursive: true, force: true })
  }
  /** slipway runs a command that has to end with `code`. */
  const slipway = (args: string[], code = 0) =>
    new Promise<void>((done, wrong) => {
      const child = spawn(binary, args, { cwd: project, env, stdio: ['ignore', 'pipe', 'pipe'] })
      let out = ''
      child.stdout.on('data', (b: Buffer) => (out += b))
      child.stderr.on('data', (b: Buffer) => (out += b))
      child.on('error', wrong)
      child.on('exit', (got) => (got === code ? done() : wrong(new Error(`slipway ${args.join(' ')} ended with ${got}, not ${code}:\n${out}`))))
    })
  try {
    for (let i = 0; !/session=/.test(said); i++) {
      if (up.exitCode !== null || i > 200) throw new Error(`slipway up did not begin:\n${said}`)
      await new Promise((r) => setTimeout(r, 100))
    }
    await slipway(['data', 'add', 'flights', '-q'])
    await slipway(['data', 'contract', 'infer', 'flights', '--out', 'contract.yaml'])
    await writeFile(join(project, 'slipway.yaml'), yaml)
    await slipway(['run', '-q'])
    await slipway(['wait'])
    // More rows that keep the contract, a second version, and a run that has nothing to do.
    await slipway(['data', 'add', 'flights', '--append', join(dir, 'b.csv'), '-q'])
    await copyFile(join(rows, 'short.txt'), join(project, 'made.txt'))
    await slipway(['run', '-q'])
    await slipway(['wait'])
    await slipway(['run', '-q'])
    await slipway(['replay', 'holdout.csv', '--endpoint', 'delay', '--time', 'departed_at', '--key', 'flight_id', '--label', 'delayed', '--label-delay', '1d', '-q'])
    await slipway(['wait'])
    // A batch whose temperatures are in Fahrenheit and whose carriers are unknown.
    await csv(join(dir, 'broken.csv'), lines.slice(0, 800).map((l) => l.split(',').map((v, i) => (i === 0 ? 'X' + v : i === 5 && v ? String(32 + 1.8 * Number(v)) : i === 6 ? 'ZZ' : v)).join(',')))
    await slipway(['data', 'add', 'flights', '--append', join(dir, 'broken.csv'), '-q'], 3)
  } catch (e) {
    await stop()
    throw e
  }
  return { url: `http://127.0.0.1:${port}`, link: /https?:\/\/\S+session=\S+/.exec(said)![0], stop }
}
