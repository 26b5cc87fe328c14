import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// `npm run dev` answers the API from a server: `slipway up`, or the fixtures
// of `npm run fixture`.
const server = process.env.SLIPWAY_SERVER ?? 'http://127.0.0.1:7070'

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': { target: server, changeOrigin: true } } },
})
