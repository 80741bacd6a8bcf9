package worker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"tallyman/fetch/fetchtest"
)

// A tlsNode is a redis-server of an address, a port and a certificate of its own.
type tlsNode struct {
	*fetchtest.Redis
	host, port string
}

func (n tlsNode) addr() string { return n.host + ":" + n.port }

// firstTLSHost is the first of the addresses at which nodes listen.
const firstTLSHost = 2

// startTLSNodes starts nodes that all can trust by a file of an authority. More are
// the arguments of redis-server for all of them.
func startTLSNodes(t testing.TB, n int, more ...string) (nodes []tlsNode, ca string) {
	t.Helper()
	if !fetchtest.HasRedis() {
		t.Skip("there is no redis-server")
	}
	dir := t.TempDir()
	sign, ca := newAuthority(t, dir)
	var starts errgroup.Group
	for i := range n {
		node := tlsNode{host: fmt.Sprint("127.0.0.", firstTLSHost+i)}
		own := filepath.Join(dir, node.host)
		if err := os.Mkdir(own, 0o700); err != nil {
			t.Fatal(err)
		}
		node.port = freePort(t, node.host)
		args := append([]string{"--bind", node.host, "--port", "0", "--tls-port", node.port, "--tls-replication", "yes", "--repl-diskless-sync-delay", "0",
			"--replica-announce-ip", node.host, "--replica-announce-port", node.port, "--cluster-announce-ip", node.host}, tlsArgs(sign(node.host), ca)...)
		for _, arg := range more {
			args = append(args, strings.ReplaceAll(arg, "BUS", freePort(t, node.host)))
		}
		var err error
		if node.Redis, err = fetchtest.NewRedis(own, args...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(node.Close)
		starts.Go(node.Start)
		nodes = append(nodes, node)
	}
	if err := starts.Wait(); err != nil {
		t.Fatal(err)
	}
	return nodes, ca
}

func tlsArgs(certificate, ca string) []string {
	return []string{"--tls-cert-file", certificate, "--tls-key-file", certificate, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no"}
}

// freePort is one of those for which the port of a cluster's bus exists, too.
func freePort(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Skip("there is no address ", host, " here: ", err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// newAuthority returns what makes certificates of addresses, each a file with its
// key, and the file of who signs them.
func newAuthority(t testing.TB, dir string) (sign func(host string) string, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of " + dir}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	write := func(name string, template *x509.Certificate, own *ecdsa.PrivateKey) string {
		der, err := x509.CreateCertificate(rand.Reader, template, authority, &own.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(own)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".pem")
		text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca = write("ca", authority, key)
	return func(host string) string {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := *authority
		template.SerialNumber, template.Subject, template.IPAddresses = big.NewInt(2), pkix.Name{CommonName: host}, []net.IP{net.ParseIP(host)}
		template.IsCA, template.KeyUsage = false, x509.KeyUsageDigitalSignature
		return write(host, &template, own)
	}, ca
}

// clusterMasters is how many nodes of a cluster are masters. Each has a replica.
const clusterMasters = 3

// startCluster starts a cluster that finds a dead master within two seconds.
func startCluster(t testing.TB) (nodes []tlsNode, ca string) {
	t.Helper()
	nodes, ca = startTLSNodes(t, 2*clusterMasters, "--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-node-timeout", "2000", "--cluster-port", "BUS")
	for i, node := range nodes[:clusterMasters] {
		const slots = 16384
		node.must(t, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", slots*i/clusterMasters, slots*(i+1)/clusterMasters-1))
		node.must(t, fmt.Sprintf("CLUSTER SET-CONFIG-EPOCH %d", i+1))
	}
	all := func(node tlsNode) bool { return strings.Count(node.Send("CLUSTER NODES"), " connected") == len(nodes) }
	waitUntil(t, "a node that knows all", func() bool {
		known := nodes[0].Send("CLUSTER NODES")
		for _, node := range nodes[1:] { // again, if one was too busy to answer
			bus := regexp.MustCompile(`@(\d+)\S* myself`).FindStringSubmatch(node.Send("CLUSTER NODES"))
			if len(bus) > 0 && !strings.Contains(known, node.addr()+"@") {
				nodes[0].must(t, fmt.Sprintf("CLUSTER MEET %s %s %s", node.host, node.port, bus[1]))
			}
		}
		return all(nodes[0])
	})
	for i, node := range nodes {
		waitUntil(t, "nodes that know all", func() bool { return all(node) })
		if i >= clusterMasters {
			id := regexp.MustCompile(`[0-9a-f]{40}`).FindString(nodes[i-clusterMasters].Send("CLUSTER MYID"))
			waitUntil(t, "the master", func() bool { return node.Must("CLUSTER REPLICATE "+id) == nil })
		}
	}
	for i, node := range nodes {
		waitUntil(t, "the cluster", func() bool {
			return strings.Contains(node.Send("CLUSTER INFO"), "cluster_state:ok") && (i < clusterMasters || strings.Contains(node.Send("INFO replication"), "master_link_status:up"))
		})
	}
	return nodes, ca
}

// masterOf is the master of a queue in a cluster that startCluster has just made.
func masterOf(t testing.TB, nodes []tlsNode, queue string) tlsNode {
	t.Helper()
	var slot int
	if _, err := fmt.Sscanf(nodes[0].Send("CLUSTER KEYSLOT "+markKey(queue)), ":%d", &slot); err != nil {
		t.Fatal(err)
	}
	return nodes[slot*clusterMasters/16384]
}

func (n tlsNode) must(t testing.TB, command string) {
	t.Helper()
	if err := n.Must(command); err != nil {
		t.Fatal(err)
	}
}

// waitUntil waits until it is so, or the test has no time left.
func waitUntil(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there never was: %s", what)
		}
	}
}

// startSentinel starts a master, its replica, and the Sentinel of both, which finds a
// dead master within a second and wants to know who asks.
func startSentinel(t testing.TB) (nodes []tlsNode, sentinel tlsNode, ca string) {
	t.Helper()
	nodes, ca = startTLSNodes(t, 2)
	nodes[1].must(t, fmt.Sprintf("REPLICAOF %s %s", nodes[0].host, nodes[0].port))
	waitUntil(t, "the replica", func() bool { return strings.Contains(nodes[1].Send("INFO replication"), "master_link_status:up") })
	dir := t.TempDir()
	sentinel.host = fmt.Sprint("127.0.0.", firstTLSHost+len(nodes))
	sentinel.port = freePort(t, sentinel.host)
	sign, own := newAuthority(t, dir)
	both, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, append(both, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := []string{
		"bind " + sentinel.host, "port 0", "tls-port " + sentinel.port, "tls-replication yes",
		"sentinel monitor main " + nodes[0].host + " " + nodes[0].port + " 1",
		"sentinel down-after-milliseconds main 1000", "sentinel failover-timeout main 5000",
		"user sentinel on >" + canary + " " + readmeSentinelACL, "user default on nopass allchannels +@all",
	}
	args := tlsArgs(sign(sentinel.host), own)
	for i := 0; i < len(args); i += 2 {
		lines = append(lines, strings.TrimPrefix(args[i], "--")+" "+args[i+1])
	}
	if sentinel.Redis, err = fetchtest.NewSentinel(dir, lines...); err == nil {
		t.Cleanup(sentinel.Close)
		err = sentinel.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	// It would look each ten seconds, and do nothing for half a minute after it was
	// too busy to look for two.
	sentinel.must(t, "SENTINEL DEBUG INFO-PERIOD 200 PING-PERIOD 200 TILT-PERIOD 200")
	waitUntil(t, "a replica that the Sentinel knows", func() bool { return strings.Contains(sentinel.Send("SENTINEL REPLICAS main"), "ok\r\n") })
	return nodes, sentinel, own
}
