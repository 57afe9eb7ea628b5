¢
"serve·
H
oneVarHandleOp*
dtype0*
shape
:*
shared_nameb
D
twoVarHandleOp*
dtype0*
shape:*
shared_namew
K
serving_default_xPlaceholder*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ
L
goStatefulPartitionedCallserving_default_xonetwo*
fR	
wrapper„
Š
#
inner
x
w
b
y&
readReadVariableOpw*
dtype0"
productMatMulxread:value:0(
read_1ReadVariableOpb*
dtype01
sumBiasAddproduct:product:0read_1:value:0!
reluRelusum:output:0^read"
yrelu:activations:0
u
%
wrapper
x
a
c
y8
callStatefulPartitionedCallxac*
f	R
inner"
ycall:output:0"Ú*‚
serving_defaulto
/
x*
serving_default_x:0ÿÿÿÿÿÿÿÿÿ 
y
go:0ÿÿÿÿÿÿÿÿÿtensorflow/serving/predict:X

	layer


kernel
bias
:2k
:2b
wrapper