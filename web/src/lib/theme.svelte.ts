type Choice = 'auto' | 'light' | 'dark'

/** theme is the reader's choice, kept in this browser. */
class Theme {
  choice: Choice = $state((document.documentElement.dataset.theme as Choice) ?? 'auto')
  /** version grows whenever colours change, for charts that paint pixels. */
  version = $state(0)

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.version++)
  }

  next() {
    this.choice = this.choice === 'auto' ? 'dark' : this.choice === 'dark' ? 'light' : 'auto'
    if (this.choice === 'auto') {
      delete document.documentElement.dataset.theme
      localStorage.removeItem('slipway.theme')
    } else {
      document.documentElement.dataset.theme = this.choice
      localStorage.setItem('slipway.theme', this.choice)
    }
    this.version++
  }
}

export const theme = new Theme()

/** colour resolves a token as a canvas needs it. */
export function colour(of: Element, token: string): string {
  const probe = document.createElement('i')
  probe.style.color = `var(--${token})`
  of.append(probe)
  const c = getComputedStyle(probe).color
  probe.remove()
  return c
}
