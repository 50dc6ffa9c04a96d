;; Fill a cache from the store, as `guix publish` would serve it: for each path a narinfo, which is signed, and its nar.
;;   guix repl -- keep.scm FOLDER PATH …
;; The site's key is in REPOLAUNCH_SITE_KEY; without one a pair is made and told, and nothing is copied. Nothing of an
;; author's runs in this process.
(use-modules (gcrypt hash) (gcrypt pk-crypto) (guix base32) (guix base64) (guix build utils) (guix config) (guix pki)
             (guix serialization) (guix store) (ice-9 match) (json) (rnrs bytevectors) (zlib))

(define %variable "REPOLAUNCH_SITE_KEY")

(define (say . fields)
  (format #t "~%@repolaunch ~a~%" (scm->json-string fields)))

(define (make-key)
  (let* ((pair (generate-key (string->canonical-sexp "(genkey (ecdsa (curve Ed25519) (flags rfc6979)))")))
         (half (lambda (name) (canonical-sexp->string (find-sexp-token pair name)))))
    (say `("private" . ,(half 'private-key)) `("public" . ,(half 'public-key)))))

(define (public-of private)
  ;; Both halves have the same point.
  (let ((point (canonical-sexp->string (find-sexp-token private 'q))))
    (string->canonical-sexp (string-append "(public-key (ecc (curve Ed25519) " point "))"))))

(define (written file write)
  "WRITE to a port of FILE, which is whole when it is there."
  (mkdir-p (dirname file))
  (let ((new (string-append file ".new")))
    (write (open-file new "wb"))
    (rename-file new file)))

(define (write-text file text)
  (written file (lambda (port) (display text port) (close-port port))))

;; What is signed, as (guix narinfo) reads it: all that says what the path is; where its nar is comes after.
(define (described store path)
  (let ((info (query-path-info store path)))
    (format #f "StorePath: ~a~%NarHash: sha256:~a~%NarSize: ~d~%References: ~a~%" path
            (bytevector->nix-base32-string (path-info-hash info)) (path-info-nar-size info)
            (string-join (map basename (path-info-references info))))))

(define (signature text private)
  (let* ((public (public-of private))
         (hash (bytevector->hash-data (sha256 (string->utf8 text)) #:key-type (key-type public))))
    (base64-encode (string->utf8 (canonical-sexp->string (signature-sexp hash private public))))))

(define (keep store folder path private)
  (let ((info (string-append folder "/" (store-path-hash-part path) ".narinfo"))
        (nar (string-append "nar/gzip/" (basename path))))
    (unless (file-exists? info)
      (let ((file (string-append folder "/" nar))
            (text (described store path)))
        (written file (lambda (port)
                        (call-with-gzip-output-port port (lambda (port) (write-file path port)) #:level 6)))
        (write-text info (format #f "~aSignature: 1;site;~a~%URL: ~a~%Compression: gzip~%FileSize: ~d~%" text
                                 (signature text private) nar (stat:size (stat file))))))))

(match (command-line)
  ((_ folder . paths)
   (match (getenv %variable)
     ((or #f "") (make-key))
     (text
      (unsetenv %variable)
      (let ((private (string->canonical-sexp text)))
        (with-store store
          (for-each (lambda (path) (keep store folder path private)) (requisites store paths)))
        (write-text (string-append folder "/nix-cache-info")
                    (format #f "StoreDir: ~a~%WantMassQuery: 0~%Priority: 100~%" %store-directory))
        (say '("end" . #t)))))))
