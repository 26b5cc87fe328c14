/** Look is how a file is shown. */
export type Look = 'image' | 'table' | 'json' | 'text' | 'unknown'

const images = ['png', 'jpg', 'jpeg', 'gif', 'webp', 'svg', 'bmp', 'ico', 'avif']
const tables = ['parquet', 'csv', 'tsv', 'jsonl', 'ndjson']
const texts = ['txt', 'log', 'err', 'out', 'cfg', 'conf', 'ini', 'toml', 'yaml', 'yml', 'xml', 'py', 'sql', 'sh', 'r', 'js', 'ts', 'css', 'html', 'md', 'rst', 'lock', 'properties', 'mlmodel', 'mlproject', 'dockerfile', 'gitignore']

/** lookOf says by its name how a file is shown; what has no known name may be text. */
export function lookOf(path: string): Look {
  const base = path.split('/').at(-1)!.toLowerCase()
  const extension = base.includes('.') ? base.split('.').at(-1)! : base
  if (images.includes(extension)) return 'image'
  if (tables.includes(extension)) return 'table'
  if (extension === 'json' || extension === 'ipynb') return 'json'
  return texts.includes(extension) ? 'text' : 'unknown'
}

/** isText reports whether bytes read as text: they hold no zero, and few are no letters. */
export function isText(bytes: Uint8Array): boolean {
  let odd = 0
  for (const b of bytes.subarray(0, 4096)) {
    if (b === 0) return false
    if (b < 9 || (b > 13 && b < 32)) odd++
  }
  return odd <= bytes.length / 50
}

/** pretty indents JSON; what is none, or was cut, stays as it is. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

/** logged reads the table of mlflow.log_table: columns and rows in one object. */
export function logged(text: string): { columns: string[]; data: unknown[][] } | null {
  try {
    const t = JSON.parse(text) as { columns?: unknown; data?: unknown }
    return Array.isArray(t.columns) && Array.isArray(t.data) && t.data.every(Array.isArray) ? { columns: t.columns.map(String), data: t.data as unknown[][] } : null
  } catch {
    return null
  }
}
