// Drives a real browser over every page: against the fixtures, and against a
// real server when bin/slipway is there. CHROMIUM names the browser, SHOTS a
// folder for screenshots.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { places, to } from '../src/lib/route'
import { emit, serve } from './fixture'
import { looks } from './look'
import { real, type Real } from './real'
import { events } from './story'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const shots = process.env.SHOTS
const flags = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run']
const sizes = [{ width: 1280, height: 800 }, { width: 1920, height: 1080 }]
const themes = ['light', 'dark'] as const
const P = 'flights'

let failed = 0
async function story(name: string, tell: () => Promise<void>) {
  const began = performance.now()
  try {
    await tell()
    console.log(`ok   ${name} (${Math.round(performance.now() - began)} ms)`)
  } catch (e) {
    failed++
    console.log(`FAIL ${name}\n     ${String(e instanceof Error ? e.message : e).replaceAll('\n', '\n     ')}`)
  }
}

/** watched opens a page that remembers what went wrong in it. */
async function watched(browser: Browser, size = sizes[0]!, colorScheme: 'light' | 'dark' = 'light') {
  const context = await browser.newContext({ viewport: size, colorScheme })
  const page = await context.newPage()
  const wrong: string[] = []
  page.on('pageerror', (e) => wrong.push(`error: ${e.message}`))
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && wrong.push(`${m.type()}: ${m.text()} ${m.location().url}`))
  page.on('request', (r) => !r.url().startsWith('http://127.0.0.1') && !r.url().startsWith('data:') && wrong.push(`left this machine: ${r.url()}`))
  return { page, wrong, close: () => context.close() }
}

/** settled waits until nothing on the page is being loaded. */
async function settled(page: Page) {
  await page.waitForSelector('h1')
  await page.waitForFunction(() => !document.querySelector('main [aria-busy]'), undefined, { timeout: 5000 })
  await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))))
}

async function upright(page: Page, wrong: string[], path: string) {
  const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth] as const)
  assert.ok(wide[0] <= wide[1], `${path} scrolls sideways: ${wide[0]} of ${wide[1]}`)
  assert.equal(await page.locator('[role=alert]').count(), 0, `${path} shows a problem: ${await page.locator('[role=alert]').allInnerTexts()}`)
  assert.equal(await page.locator('text=/undefined|NaN|\\[object/').count(), 0, `${path} shows a value that is none: ${await page.locator('text=/undefined|NaN|\\[object/').allInnerTexts()}`)
  assert.deepEqual(wrong, [], path)
}

const first = (kind: string) => events.find((e) => e.subject.startsWith(kind + ':'))!.subject
const run = first('run').slice(4)
const pages = [
  ...places.map((p) => to(P, p.name)),
  to(P, 'data', ['flights']), to(P, 'data', ['flights', 2]), to(P, 'data', ['flights'], { quarantine: String(events.find((e) => e.verb === 'dataset.refused')!.data!.quarantine) }),
  to(P, 'pipeline', [run]), to(P, 'runs', [run]), to(P, 'models', ['flight-delay']), to(P, 'models', ['flight-delay', 3]), to(P, 'models', ['flight-delay'], { from: '1', to: '2' }),
  to(P, 'endpoints', ['flight-delay']), to(P, 'trace', [], { ref: 'model:flight-delay@v2' }), to(P, 'runs', [], { filter: "params.leaves = '63'" }), to(P, 'log', [], { verb: 'gate.decided' }),
  to(P, 'monitor', ['flight-delay'], { feature: 'temp' }), to(P, 'monitor', ['flight-delay'], { feature: 'temp', until: '2013-09-14T00:00:00.000Z', days: '366' }), to(P, 'data', ['flights'], { from: '3', to: '4' }),
]

async function everyPage(browser: Browser, url: string) {
  await story('every page at both sizes, light and dark', async () => {
    const { page, wrong, close } = await watched(browser)
    for (const [i, path] of pages.entries()) {
      await page.goto(url + path)
      await settled(page)
      // What is clipped at a size is so in every colour: one of each is enough.
      for (const [k, size] of sizes.entries()) {
        const colorScheme = themes[(i + k) % 2]!
        await page.setViewportSize(size)
        await page.emulateMedia({ colorScheme })
        await settled(page)
        await upright(page, wrong, `${path} at ${size.width}×${size.height}, ${colorScheme}`)
        if (shots) await page.screenshot({ path: join(shots, `${path.slice(3).replace(/[^\w-]+/g, '_')}-${size.width}-${colorScheme}.png`), fullPage: true })
      }
    }
    await close()
  })
}

async function keyboard(browser: Browser, url: string) {
  await story('the keyboard goes everywhere', async () => {
    const { page, wrong, close } = await watched(browser)
    await page.goto(url + '/')
    await page.waitForURL('**/p/flights')
    await settled(page)
    for (const p of places) {
      await page.keyboard.press('g')
      await page.keyboard.press(p.letter)
      await page.waitForURL(url + to(P, p.name), { timeout: 5000 }).catch(() => assert.fail(`g ${p.letter} does not go to ${p.name} but to ${page.url()}`))
      await settled(page)
    }
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })

    await page.goto(url + to(P, 'runs'))
    await settled(page)
    await page.keyboard.press('j')
    await page.keyboard.press('x')
    await page.keyboard.press('j')
    await page.keyboard.press('x')
    await page.keyboard.press('k')
    const second = await page.locator('tbody tr').nth(0).locator('[data-row]').innerText()
    assert.equal(await page.evaluate(() => (document.activeElement as HTMLElement).innerText), second, 'k goes back up')
    await page.getByRole('link', { name: 'Compare 2' }).click()
    await page.waitForURL('**compare=**')
    await settled(page)
    assert.equal(await page.locator('thead th.number').count(), 2)

    await page.goBack()
    await settled(page)
    await page.keyboard.press('/')
    await page.keyboard.type("params.leaves = '63'")
    const found = page.waitForResponse(/\/runs\?.*filter=/)
    await page.keyboard.press('Enter')
    await page.waitForURL('**filter=**')
    await found
    await settled(page)
    await page.keyboard.press('Escape')
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/runs\/[0-9a-f]{32}/)
    await settled(page)
    await upright(page, wrong, 'after the keyboard')
    await close()
  })
}

async function live(browser: Browser, url: string) {
  await story('what happens is seen at once', async () => {
    const { page, wrong, close } = await watched(browser)
    await page.goto(url + to(P, 'loop'))
    await settled(page)
    await page.locator('.state.live').waitFor()
    const number = events.at(-1)!.number + 1
    emit({ id: 'new', number, time: new Date().toISOString(), project: P, actor: 'grace', verb: 'dataset.versioned', subject: 'dataset:flights@v5', data: { rows: 281373 } })
    await page.locator('.node.data', { hasText: 'flights@v5, 281,373 rows' }).waitFor({ timeout: 3000 })
    emit({ id: 'other', number: number + 1, time: new Date().toISOString(), project: 'default', actor: 'grace', verb: 'dataset.versioned', subject: 'dataset:elsewhere@v1' })
    await page.waitForTimeout(100)
    assert.equal(await page.getByText('elsewhere').count(), 0, 'another project is another story')
    assert.deepEqual(wrong, [])
    await close()
  })
}

async function colours(browser: Browser, url: string) {
  await story('a chosen theme stays', async () => {
    const { page, close } = await watched(browser)
    await page.goto(url + to(P, 'models'))
    await settled(page)
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const light = await ground()
    await page.getByRole('button', { name: 'Colours: auto' }).click()
    const dark = await ground()
    assert.notEqual(light, dark)
    await page.reload()
    await settled(page)
    assert.equal(await ground(), dark)
    await close()
  })
}

async function problems(browser: Browser, url: string) {
  await story('a problem is told in the server\'s words', async () => {
    const { page, close } = await watched(browser)
    await page.route('**/api/v1/projects/flights/models', (r) => r.fulfill({ status: 403, contentType: 'application/json', body: JSON.stringify({ code: 'denied', message: 'ada may not look', hint: 'ask an admin' }) }))
    await page.goto(url + to(P, 'models'))
    await page.getByText('ada may not look').waitFor()
    await page.getByText('ask an admin').waitFor()
    await page.unroute('**/api/v1/projects/flights/models')
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('link', { name: 'v4', exact: true }).waitFor()
    await close()
  })
  await story('an empty project says which command fills it', async () => {
    const { page, close } = await watched(browser)
    const empty = JSON.stringify([])
    await page.route('**/api/v1/projects/default/**', (r) => r.fulfill({ status: 200, contentType: 'application/json', body: r.request().url().includes('/default/runs?') ? '{"runs":null}' : r.request().url().includes('/default/runs/count') ? '{"runs":0}' : r.request().url().endsWith('/default/runs/keys') ? '{"runs":0}' : r.request().url().endsWith('/endpoints') ? '{"endpoint":[]}' : empty }))
    for (const p of places.filter((p) => !['loop', 'log'].includes(p.name))) {
      await page.goto(url + to('default', p.name))
      await settled(page)
      assert.ok((await page.locator('main code').count()) > 0, `${p.name} names no command`)
    }
    await close()
  })
}

/** follow collects the links of the page that lead to other pages of the interface. */
const follow = (page: Page) => page.evaluate(() => [...document.querySelectorAll('main a[href]')].map((a) => new URL(a.getAttribute('href')!, location.href).href).filter((h) => h.startsWith(location.origin + '/p/')))

async function realServer(browser: Browser, binary: string) {
  let server: Real | undefined
  await story('a real server, filled by plain commands', async () => void (server = await real(binary)))
  if (!server) return
  const { url, link, stop } = server
  await story('every page of a real server, and every page that one leads to', async () => {
    const { page, wrong, close } = await watched(browser)
    await page.goto(link)
    await settled(page)
    const home = to(P, 'loop')
    const seen = new Set<string>()
    const kinds = new Map<string, number>()
    const ahead = [...places.map((p) => url + to(P, p.name)), url + to(P, 'models', ['delay'], { from: '1', to: '2' })]
    for (let path = ahead.shift(); path; path = ahead.shift()) {
      const at = new URL(path)
      at.hash = ''
      if (seen.has(at.href)) continue
      seen.add(at.href)
      // Of each kind of page a few are enough: a log links a hundred runs.
      const kind = at.pathname.split('/').slice(3, 4).concat(at.pathname.split('/').length > 4 ? ['one'] : [], [...at.searchParams.keys()]).join()
      const many = (kinds.get(kind) ?? 0) + 1
      kinds.set(kind, many)
      if (many > 3) continue
      await page.goto(at.href)
      await settled(page)
      if (shots) await page.screenshot({ path: join(shots, `real-${at.href.slice(url.length + 3).replace(/[^\w-]+/g, '_').slice(0, 80)}.png`), fullPage: true })
      await upright(page, wrong, at.pathname + at.search)
      assert.equal(await page.getByText('There is no such', { exact: false }).count(), 0, `${at.pathname}${at.search} leads nowhere`)
      ahead.push(...(await follow(page)))
    }
    const visited = [...kinds.keys()]
    for (const want of ['data,one', 'pipeline,one', 'runs,one', 'models,one', 'endpoints,one', 'monitor,one', 'trace,ref', 'data,one,quarantine'])
      assert.ok(visited.some((k) => k === want || k.startsWith(want)), `no link leads to ${want}: ${visited.join(' ')}`)
    await page.goto(url + home)
    await close()
  })
  await story('a real server tells what its commands did', async () => {
    const { page, wrong, close } = await watched(browser, sizes[1], 'dark')
    await page.goto(link)
    await settled(page)
    for (const [path, texts] of [
      [to(P, 'loop'), ['delay@v2', 'flights refused']],
      [to(P, 'data', ['flights']), ['3,360', 'checks kept', 'Rows a day']],
      [to(P, 'pipeline'), ['nothing to do', 'prepare', 'report']],
      [to(P, 'models', ['delay', 1]), ['Importance', 'delay_1h', 'golden rows', 'Calibration']],
      [to(P, 'endpoints', ['delay']), ['delay@v2 100 %', '840', 'closed']],
      [to(P, 'monitor', ['delay']), ['Quality against labels', 'roc_auc']],
      [to(P, 'trace', [], { ref: 'model:delay@v2' }), ['flights@v2', 'certificate']],
    ] as const) {
      await page.goto(url + path)
      await settled(page)
      for (const text of texts) await page.locator('main').getByText(text, { exact: false }).first().waitFor({ timeout: 5000 }).catch(() => assert.fail(`${path} does not tell ${text}`))
      await upright(page, wrong, path)
    }
    await close()
  })
  await stop()
}

if (shots) await mkdir(shots, { recursive: true })
const browser = await chromium.launch({ executablePath, args: flags })
const { server, url } = await serve()
await everyPage(browser, url)
await keyboard(browser, url)
await live(browser, url)
await colours(browser, url)
await problems(browser, url)
await looks(browser, { url, shots, story, watched, settled, upright })
server.closeAllConnections()
server.close()
const binary = fileURLToPath(new URL('../../bin/slipway', import.meta.url))
if (existsSync(binary)) await realServer(browser, binary)
else console.log('skip a real server: there is no bin/slipway (make build)')
await browser.close()
process.exitCode = failed ? 1 : 0
