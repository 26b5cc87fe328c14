/** ticker is the time that relative times are seen from; one timer for all of them. */
class Ticker {
  now = $state(Date.now())

  constructor() {
    setInterval(() => document.hidden || (this.now = Date.now()), 10_000)
    document.addEventListener('visibilitychange', () => document.hidden || (this.now = Date.now()))
  }
}

export const ticker = new Ticker()
