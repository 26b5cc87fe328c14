/** Choice is something that this browser remembers, such as columns of a project. */
export class Choice<T> {
  value: T | null = $state.raw(null)
  private name: string

  constructor(name: string) {
    this.name = 'slipway.' + name
    try {
      this.value = JSON.parse(localStorage.getItem(this.name) ?? 'null') as T | null
    } catch {
      this.value = null
    }
  }

  /** set remembers a value, or forgets it for null. */
  set(value: T | null) {
    this.value = value
    try {
      if (value === null) localStorage.removeItem(this.name)
      else localStorage.setItem(this.name, JSON.stringify(value))
    } catch {
      // A browser that keeps nothing still shows it.
    }
  }
}
