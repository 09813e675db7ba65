const proxy = require('http-proxy');
const sidecar = {8081: 'http://127.0.0.1:9911', 8082: 'http://169.254.170.2', 8083: 'http://169.254.169.254'};
for (const [port, target] of Object.entries(sidecar)) {
  const server = proxy.createProxyServer({target, OPTIONS});
  server.on('error', (err, request, response) => response.writeHead(502).end());
  server.listen(Number(port), '127.0.0.1');
}
