// Measures the page of runs in Chromium against a server that holds many:
// SERVER='http://…/?session=…' PROJECT=default npm run scale. Prints milliseconds.
import { chromium } from 'playwright-core'
import { to } from '../src/lib/route'

const server = new URL(process.env.SERVER ?? 'http://127.0.0.1:7070')
const project = process.env.PROJECT ?? 'default'
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] })
const median = (xs: number[]) => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)]!

const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
const page = await context.newPage()
await page.goto(server.href)

/** open opens the page, and says when it painted first and when it had rows. */
async function open(query: Record<string, string>) {
  await page.goto(server.origin + to(project, 'runs', [], query))
  await page.locator('tbody [data-row]').first().waitFor()
  return page.evaluate(() => ({ row: performance.now(), paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN }))
}

const times: { row: number; paint: number }[] = []
for (let i = 0; i < 7; i++) times.push(await open({}))
console.log(`first paint ${median(times.map((t) => t.paint)).toFixed(0)}, rows on the page ${median(times.map((t) => t.row)).toFixed(0)}`)
await page.waitForTimeout(500)
console.log(await page.locator('main p.small').last().innerText())
for (const [name, query] of [['by a metric', { order: 'metrics.auc DESC' }], ['by a filter', { filter: "metrics.auc > 0.8 AND params.model = 'lgbm'" }], ['by a param', { order: 'params.depth ASC' }]] as const) {
  const rows: number[] = []
  for (let i = 0; i < 3; i++) rows.push((await open({ ...query })).row)
  console.log(`rows ${name} ${median(rows).toFixed(0)}`)
}

await open({})
const box = page.getByRole('region', { name: 'Runs' })
const frames = await box.evaluate(async (el) => {
  const out: number[] = []
  let last = performance.now()
  for (let i = 0; i < 240; i++) {
    el.scrollTop += i < 120 ? 300 : (el.scrollHeight / 120) | 0
    await new Promise((r) => requestAnimationFrame(r))
    const now = performance.now()
    out.push(now - last)
    last = now
  }
  return out.sort((a, b) => a - b)
})
console.log(`frames while scrolling: median ${frames[120]!.toFixed(1)}, 99 % ${frames[237]!.toFixed(1)}, longest ${frames[239]!.toFixed(1)}`)
const began = performance.now()
await box.evaluate((el) => (el.scrollTop = el.scrollHeight / 2))
await page.waitForFunction(() => [...document.querySelectorAll('tbody tr')].some((r) => r.querySelector('[data-row]') && r.getBoundingClientRect().top > 300))
console.log(`rows after a jump into the middle ${(performance.now() - began).toFixed(0)}`)
await browser.close()
