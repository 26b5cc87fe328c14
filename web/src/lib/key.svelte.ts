import { here } from './place.svelte'
import { places, to } from './route'

/** keys is the keyboard: g and a letter goes, / searches, j and k walk rows, ? helps. */
class Keys {
  help = $state(false)
  private went = 0

  listen() {
    addEventListener('keydown', (e) => this.press(e))
  }

  private press(e: KeyboardEvent) {
    if (e.metaKey || e.ctrlKey || e.altKey) return
    const at = e.target as HTMLElement
    if (e.key === 'Escape') {
      this.help = false
      at.blur?.()
      return
    }
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName) && (at as HTMLInputElement).type !== 'checkbox') return
    if (this.act(e.key)) e.preventDefault()
  }

  private act(key: string): boolean {
    if (Date.now() - this.went < 1200) {
      this.went = 0
      const place = places.find((p) => p.letter === key)
      if (!place || !here.route.project) return false
      here.go(to(here.route.project, place.name))
      return true
    }
    switch (key) {
      case 'g':
        this.went = Date.now()
        return true
      case '?':
        this.help = !this.help
        return true
      case '/':
        return focus(document.querySelector<HTMLElement>('[data-search]'))
      case 'j':
        return walk(1)
      case 'k':
        return walk(-1)
      case 'x':
        return check()
    }
    return false
  }
}

function focus(el: HTMLElement | null | undefined): boolean {
  el?.focus()
  el?.scrollIntoView({ block: 'nearest' })
  return !!el
}

/** walk moves the focus among links and buttons marked data-row. */
function walk(by: number): boolean {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')]
  const now = document.activeElement?.closest('tr, li, [data-row]')
  const i = rows.findIndex((r) => r === document.activeElement || (now !== null && now !== undefined && r.closest('tr, li, [data-row]') === now))
  return focus(rows[i < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, i + by))])
}

/** check turns the checkbox of the row that has the focus. */
function check(): boolean {
  const box = document.activeElement?.closest('tr, li')?.querySelector<HTMLElement>('input[type=checkbox]')
  box?.click()
  return !!box
}

export const keys = new Keys()
