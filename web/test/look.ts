// Stories of the pages on which one looks into runs, data and models.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { to } from '../src/lib/route'
import { events } from './story'

/** Help is what browser.ts lends. */
export interface Help {
  url: string
  shots?: string
  story: (name: string, tell: () => Promise<void>) => Promise<void>
  watched: (browser: Browser) => Promise<{ page: Page; wrong: string[]; close: () => Promise<void> }>
  settled: (page: Page) => Promise<void>
  upright: (page: Page, wrong: string[], path: string) => Promise<void>
}

const P = 'flights'

export async function looks(browser: Browser, { url, shots, story, watched, settled, upright }: Help) {
  const shoot = async (page: Page, name: string) => void (shots && (await page.screenshot({ path: join(shots, name + '.png'), fullPage: true })))
  const go = async (page: Page, ...where: Parameters<typeof to>) => {
    await page.goto(url + to(...where))
    await settled(page)
  }

  await story('a filter is completed, and a wrong one is answered with what would be right', async () => {
    const { page, wrong, close } = await watched(browser)
    await go(page, P, 'runs')
    await page.keyboard.press('/')
    await page.keyboard.type('metrics.lo')
    await page.getByRole('option', { name: 'metrics.log_loss' }).waitFor()
    await page.keyboard.press('Tab')
    assert.equal(await page.getByLabel('Filter').inputValue(), 'metrics.log_loss ')
    await page.route('**/runs?*filter=*', (r) => r.fulfill({ status: 400, contentType: 'application/json', body: JSON.stringify({ code: 'invalid', message: 'Invalid filter string' }) }))
    await page.keyboard.type('== 3')
    await page.keyboard.press('Enter')
    await page.getByText('Equality is written with one sign: =').waitFor()
    assert.ok((await page.locator('tbody tr').count()) > 5, 'what was found before stays')
    assert.ok(wrong.every((w) => w.includes('400')), wrong.join())
    await shoot(page, 'runs-wrong')
    await close()
  })

  await story('columns are remembered; runs are plotted, compared and looked into', async () => {
    const { page, wrong, close } = await watched(browser)
    await go(page, P, 'runs')
    await page.getByText('Columns', { exact: true }).click()
    await page.getByRole('checkbox', { name: 'objective' }).check()
    await page.reload()
    await settled(page)
    await page.getByRole('columnheader', { name: 'objective' }).waitFor()
    await page.getByRole('button', { name: 'Plot' }).click()
    await page.getByRole('img', { name: /Parallel coordinates of 24 runs/ }).waitFor()
    await shoot(page, 'runs-plot')
    const checks = page.getByRole('region', { name: 'Runs' }).getByRole('checkbox')
    await checks.nth(1).click()
    await checks.nth(8).click({ modifiers: ['Shift'] })
    await page.getByRole('link', { name: 'Compare 8' }).click()
    await settled(page)
    await page.getByLabel('Smoothing').fill('0.6')
    await page.getByRole('button', { name: 'log scale' }).click()
    await page.getByRole('img', { name: /Parallel coordinates/ }).waitFor()
    await upright(page, wrong, 'compare')
    await shoot(page, 'runs-compare')
    await go(page, P, 'runs', [events.find((e) => e.subject.startsWith('run:'))!.subject.slice(4)])
    for (const [file, text] of [['notes.md', 'It went well.'], ['params.json', '"leaves": 63'], ['scores.parquet', '2 rows of more']] as const) {
      await page.getByRole('button', { name: file }).click()
      await page.getByText(text).waitFor()
    }
    await shoot(page, 'run-artifact')
    await upright(page, wrong, 'artifacts')
    await close()
  })

  await story('a hundred thousand runs scroll, and only what is in sight is asked for', async () => {
    const { page, wrong, close } = await watched(browser)
    const total = 100_000
    const asked: number[] = []
    await page.route('**/flights/runs/count*', (r) => r.fulfill({ contentType: 'application/json', body: JSON.stringify({ runs: total }) }))
    await page.route('**/flights/runs?*', (r) => {
      const offset = Number(new URL(r.request().url()).searchParams.get('offset') ?? 0)
      asked.push(offset)
      const runs = Array.from({ length: Math.min(100, total - offset) }, (_, i) => ({ id: (offset + i).toString(16).padStart(32, '0'), project: P, name: `run ${offset + i}`, kind: 'client', status: 'FINISHED', user: 'ada', start: '2026-01-01T00:00:00Z', metrics: [], params: [], tags: [] }))
      return r.fulfill({ contentType: 'application/json', body: JSON.stringify({ runs, next: offset + 100 < total ? 'more' : undefined }) })
    })
    await page.goto(url + to(P, 'runs'))
    await page.getByText('100,000 runs').waitFor()
    const box = page.getByRole('region', { name: 'Runs' })
    // Who drags through the list waits only for where they stop.
    await box.evaluate(async (el) => {
      for (let i = 0; i <= 40; i++) {
        el.scrollTop = (el.scrollHeight * i) / 80
        await new Promise((r) => requestAnimationFrame(r))
      }
    })
    await page.getByRole('link', { name: 'run 50000', exact: true }).waitFor()
    assert.ok(asked.length < 45, `${asked.length} pages were asked for`)
    await box.evaluate((el) => (el.scrollTop = el.scrollHeight))
    await page.getByRole('link', { name: 'run 99999', exact: true }).waitFor()
    assert.ok((await page.locator('tbody tr').count()) < 80, 'rows out of sight are not in the page')
    assert.deepEqual(wrong, [])
    await close()
  })

  await story('data is asked in SQL, compared side by side, and released', async () => {
    const { page, wrong, close } = await watched(browser)
    await go(page, P, 'data', ['flights'])
    await page.getByText('May be about persons').waitFor()
    await page.getByRole('button', { name: 'side by side' }).click()
    await page.getByText('Ask in SQL').click()
    await page.getByLabel('SQL').fill('SELECT carrier, count(*) n FROM flights GROUP BY 1')
    await page.keyboard.press('Control+Enter')
    await page.getByText('58665').waitFor()
    await upright(page, wrong, 'the SQL box')
    await shoot(page, 'data-sql')
    await go(page, P, 'data', ['flights'], { quarantine: String(events.find((e) => e.verb === 'dataset.refused')!.data!.quarantine) })
    const release = page.getByRole('button', { name: 'Release' })
    assert.ok(await release.isDisabled(), 'a release needs a reason')
    await page.getByPlaceholder('why these rows are right').fill('a new airport')
    const sent = page.waitForRequest(/release$/)
    await release.click()
    assert.deepEqual((await sent).postDataJSON(), { reason: 'a new airport' })
    await upright(page, wrong, 'quarantine')
    await close()
  })

  await story('a model tells what people wrote about it, and what moves its answers', async () => {
    const { page, wrong, close } = await watched(browser)
    await go(page, P, 'models', ['flight-delay'])
    await page.getByText('Stages, as they changed').waitFor()
    await page.getByText('chat.example.org').waitFor()
    await shoot(page, 'model-catalog')
    await go(page, P, 'models', ['flight-delay', 3])
    await page.getByRole('button', { name: 'carrier' }).click()
    await page.getByRole('img', { name: /worth by carrier/ }).waitFor()
    await upright(page, wrong, 'attribution')
    await shoot(page, 'model-attribution')
    await close()
  })
}
