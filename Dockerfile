# The daemon as a container, for an engine whose machine cannot be logged in to,
# such as Docker Desktop's. make run-in-docker builds and runs it; the programs
# are static, so there is no base image and no registry.
FROM scratch
COPY bin/image/mascri /usr/local/bin/mascri
COPY bin/image/netplug bin/image/ipam /opt/cni/bin/
ENTRYPOINT ["/usr/local/bin/mascri"]
CMD ["serve"]
