import { here } from './place.svelte'

/** word reads one word of the address's query. */
export function word(name: string): string {
  return here.route.query.get(name) ?? ''
}
